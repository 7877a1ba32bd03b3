import type { CampaignSnapshot, Scene } from '../../src/campaign/snapshot.ts';
import type { AwardType } from '../../src/vocabulary/award-type.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { SceneId } from '../../src/vocabulary/ids.ts';
import { type Clock, instantMs } from '../../src/vocabulary/instant.ts';
import { testCampaign } from './campaign.ts';

interface PieceScene {
  readonly award: AwardType;
  readonly connector?: string;
  readonly compensate?: boolean;
}

/** The scenes of `pieceCampaign`: each item is called as its scene. */
const SCENES: Readonly<Record<string, PieceScene>> = {
  tea: { award: 'drinks-coupon', connector: 'drinks-shop', compensate: true },
  juice: { award: 'drinks-coupon', connector: 'drinks-shop', compensate: true },
  film: { award: 'cinema-ticket', connector: 'cinema' },
  hello: { award: 'greeting' },
};

const [money] = testCampaign.scenes.values();

const sceneOf = ([id, { award, connector, compensate = false }]: [string, PieceScene]): Scene => ({
  ...money!,
  id: id as SceneId,
  award,
  amount: { rule: 'piece', fen: 1_900n as Fen },
  fulfil: connector === undefined ? undefined : { connector, item: id },
  flags: { compensate, stockControlled: true, reconcile: true },
});

/** The campaign of `anOrder`, with pieces: tea and juice of the drinks shop, films of the cinema, greetings of nobody. */
export const pieceCampaign: CampaignSnapshot = {
  ...testCampaign,
  scenes: new Map(
    [money!, ...Object.entries(SCENES).map(sceneOf)].map((scene) => [scene.id, scene] as const),
  ),
};

export const awardOfScene = (scene: string): AwardType => SCENES[scene]!.award;

/** A clock that runs so many times faster than the machine's: for waits that are written down and not slept. */
export const fastClock = (speed: number, startMs = 1_800_000_000_000): Clock => ({
  now: () => instantMs(Math.floor(startMs + performance.now() * speed)),
  monotonicMs: () => performance.now(),
});
