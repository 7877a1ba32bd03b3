import type { PhoneNumber } from '../rules/phone.ts';
import type { ActId, AppId } from '../vocabulary/ids.ts';
import type { Person } from '../vocabulary/person.ts';

/** Who is asking, once the session has been checked. Every player's route and frame acts on this person only. */
export interface Player extends Person {
  readonly appId: AppId;
}

/** Who an app's users are (src/identity). */
export interface Identities {
  /**
   * The id that (app, user) was given at its first coming, which never changes; a verified phone number binds
   * it to a person first. Throws when control can't be asked and it is not known here.
   */
  find(appId: AppId, user: string, phone: PhoneNumber | undefined): Promise<ActId>;
  /** Who this id is by now; from memory when it is there. Throws as `find` does. */
  person(given: ActId): Promise<Person>;
  /** The same from memory alone. */
  remembered(given: ActId): Person | undefined;
  /** Rises whenever somebody whom this process knows was joined with somebody. */
  changes(): number;
}
