import { type Static, Type } from 'typebox';
import { AWARD_TYPES } from '../vocabulary/award-type.ts';
import { ID_PART } from '../vocabulary/ids.ts';
import { PHASE_KINDS } from './snapshot.ts';

/** The campaign file as it is written. Descriptions become the editor's help (schema/campaign.schema.json). */
const id = (description: string) =>
  Type.String({
    pattern: ID_PART.source,
    description: `${description} Letters, digits and hyphens, at most 32; no underscore.`,
  });
const int32 = (description: string) => Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, description });
const fenOf = (description: string) =>
  Type.Integer({
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: `${description} In fen (1/100 yuan), a whole number.`,
  });
const count = (description: string) => Type.Integer({ minimum: 1, maximum: 10_000_000_000, description });
const words = (description: string) =>
  Type.Object(
    {
      zh: Type.String({ minLength: 1, maxLength: 200, description: '中文' }),
      en: Type.String({ minLength: 1, maxLength: 200, description: 'English' }),
    },
    { additionalProperties: false, description },
  );
const time = (description: string) =>
  Type.String({
    minLength: 1,
    description: `${description} RFC 3339 with an offset, e.g. 2027-02-05T20:00:00+08:00.`,
  });
const duration = (description: string) =>
  Type.String({ minLength: 1, description: `${description} ISO 8601, e.g. PT90S, PT2M, PT1H30M, P1D.` });
const strict = { additionalProperties: false } as const;

const Sponsor = Type.Object(
  {
    id: id('Names the sponsor in scenes.'),
    name: words('Shown on packets and cards.'),
    greetings: Type.Array(words('A greeting card.'), {
      maxItems: 50,
      description: 'Cards that a shake may bring instead of a packet.',
    }),
  },
  strict,
);

const Scene = Type.Object(
  {
    id: id('The scene; part of every order number.'),
    award: Type.Enum([...AWARD_TYPES], { description: 'What it gives.' }),
    sponsor: id('Who pays, by sponsor id.'),
    amount: Type.Object(
      {
        rule: Type.Enum(['split', 'fixed', 'given', 'piece'], {
          description:
            'split: cut at random by double mean. fixed: every packet the same. given: the upstream service names each amount; never dealt by a shake. piece: a coupon, ticket or other thing; for every award but cash.',
        }),
        fen: Type.Optional(fenOf('Of each packet; only with rule fixed.')),
        worthFen: Type.Optional(
          Type.Integer({
            minimum: 0,
            maximum: Number.MAX_SAFE_INTEGER,
            description: 'What a piece is worth, in fen; only with rule piece. 0, when left out.',
          }),
        ),
      },
      { ...strict, description: 'How a packet gets its amount.' },
    ),
    caps: Type.Object(
      {
        packetFen: Type.Optional(fenOf('No packet is worth more. Not for pieces.')),
        personPackets: count('Packets of this scene that one person may have in a phase.'),
      },
      { ...strict, description: 'Caps per packet and per person.' },
    ),
    budget: Type.Object(
      {
        fen: Type.Optional(fenOf('All that the scene may give in a phase. Not for pieces.')),
        packets: count('In how many packets or pieces.'),
      },
      { ...strict, description: 'Total per phase.' },
    ),
    bill: words('The line in the wallet.'),
    fulfil: Type.Optional(
      Type.Object(
        {
          connector: id('The connector that hands it out, as operations have configured it.'),
          item: Type.String({
            minLength: 1,
            maxLength: 128,
            description: 'What it is called downstream: the id of the coupon template, for example.',
          }),
        },
        { ...strict, description: 'Who hands a piece out. For every award but cash and greeting.' },
      ),
    ),
    consolation: Type.Optional(id('The scene that is given instead once nothing is left of this one.')),
    flags: Type.Object(
      {
        compensate: Type.Boolean({ description: 'Retried and reissued when a downstream fails.' }),
        stockControlled: Type.Boolean({ description: 'Given only from leased slices.' }),
        reconcile: Type.Boolean({ description: 'Compared with the downstream afterwards.' }),
      },
      { ...strict, description: 'Pluggable abilities of the scene.' },
    ),
  },
  strict,
);

const LevelBudget = Type.Optional(
  Type.Object(
    {
      fen: fenOf('All that may be given below here in a phase, pieces counted at their worth.'),
      packets: count('In how many packets and pieces.'),
    },
    { ...strict, description: 'A total over everything below, in each phase.' },
  ),
);

const Deal = Type.Object(
  {
    scene: id('What is given.'),
    packets: count('How many packets in one round.'),
    budgetFen: Type.Optional(fenOf('For all of them together. Not for pieces.')),
  },
  strict,
);

const Rain = Type.Object(
  {
    id: Type.Optional(int32('The round; for a single one.')),
    startsAt: time('When it begins.'),
    lasts: duration('How long it lasts.'),
    firstId: Type.Optional(int32('For a series of rounds: the first one’s id; the others count up.')),
    every: Type.Optional(duration('For a series: from one start to the next.')),
    count: Type.Optional(int32('For a series: how many rounds.')),
    deals: Type.Array(Deal, { minItems: 1, maxItems: 200, description: 'What each round gives.' }),
  },
  { ...strict, description: 'A round (rain) of the night, or a series of them.' },
);

const Phase = Type.Object(
  {
    id: id('The phase; the stage of its order numbers.'),
    kind: Type.Enum([...PHASE_KINDS], { description: 'What it is for.' }),
    opensAt: time('From then on draws belong to it.'),
    closesAt: time('From then on they do not.'),
    audiencePermille: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        description: 'Share of people, of 1,000, that may play. All, when left out.',
      }),
    ),
    budgets: Type.Optional(
      Type.Array(
        Type.Object(
          {
            scene: id('Whose budget.'),
            fen: Type.Optional(fenOf('Total in this phase. Not for pieces.')),
            packets: count('In how many packets.'),
          },
          strict,
        ),
        {
          maxItems: 500,
          description: 'Budgets of this phase where they differ from the scene’s.',
        },
      ),
    ),
    rains: Type.Array(Rain, { maxItems: 5_000, description: 'Its rounds.' }),
  },
  strict,
);

export const CampaignFile = Type.Object(
  {
    campaign: id('The parent campaign that every caller names.'),
    title: words('Shown on the page.'),
    apps: Type.Array(
      Type.Object(
        { id: int32('The app’s id, in every token.'), name: id('The issuer of its sessions.') },
        strict,
      ),
      { minItems: 1, maxItems: 100, description: 'Apps that embed it.' },
    ),
    limits: Type.Object(
      {
        packets: count('Packets one person may win by shaking in a phase.'),
        packetsPerSponsor: count('Of those, from one sponsor.'),
      },
      { ...strict, description: 'What a person may win.' },
    ),
    budget: LevelBudget,
    ticketTtl: duration('How long a packet may stay unopened.'),
    sponsors: Type.Array(Sponsor, { minItems: 1, maxItems: 500 }),
    rewards: Type.Array(
      Type.Object(
        {
          id: id('The reward.'),
          title: words('Its name.'),
          budget: LevelBudget,
          items: Type.Array(
            Type.Object(
              {
                id: id('The item.'),
                title: words('Its name.'),
                budget: LevelBudget,
                scenes: Type.Array(Scene, { minItems: 1, maxItems: 500 }),
              },
              strict,
            ),
            { minItems: 1, maxItems: 200 },
          ),
        },
        strict,
      ),
      { minItems: 1, maxItems: 100, description: 'The tree: reward ▸ item ▸ scene.' },
    ),
    phases: Type.Array(Phase, {
      minItems: 1,
      maxItems: 20,
      description: 'Internal test, gray drill, live: each with data of its own.',
    }),
  },
  { ...strict, $id: 'https://hongbao.invalid/schema/campaign.json', title: 'Hongbao campaign' },
);

export type CampaignDraft = Static<typeof CampaignFile>;
export type SceneDraft = Static<typeof Scene>;
export type PhaseDraft = Static<typeof Phase>;
export type RainDraft = Static<typeof Rain>;
