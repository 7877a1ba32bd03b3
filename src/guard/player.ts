import type { ActId, AppId } from '../vocabulary/ids.ts';

/** Who is asking, once the session has been checked. Every player's route and frame acts on this person only. */
export interface Player {
  readonly appId: AppId;
  readonly actId: ActId;
}
