import type { Pool, PoolClient } from 'pg';
import type { CampaignId, PhaseId, PhaseKey, SceneId } from '../../../vocabulary/ids.ts';
import { instantMs } from '../../../vocabulary/instant.ts';
import type { ControlStore, StoredCampaign } from '../../ports.ts';
import type { Migration } from '../migrate.ts';
import { asFault } from '../retryable.ts';
import { transaction } from '../transaction.ts';
import schema from './0001-control.sql';
import announcementSchema from './0002-announcement.sql';
import identitySchema from './0003-identity.sql';
import joinedAtSchema from './0004-joined-at.sql';
import { createIdentityStore } from './identities.ts';

export const controlMigrations: readonly Migration[] = [
  { name: 'control/0001-control', sql: schema },
  { name: 'control/0002-announcement', sql: announcementSchema },
  { name: 'control/0003-identity', sql: identitySchema },
  { name: 'control/0004-joined-at', sql: joinedAtSchema },
];

interface CampaignRow {
  campaign_id: CampaignId;
  version: number;
  content_hash: string;
  source: string;
}

/** Control's memory on one Postgres. */
export function createControlStore(pool: Pool): ControlStore {
  const query = async <Row extends object>(text: string, values: unknown[]): Promise<Row[]> => {
    try {
      return (await pool.query<Row>(text, values)).rows;
    } catch (error) {
      throw asFault(error);
    }
  };
  const inTransaction = <Result>(act: (client: PoolClient) => Promise<Result>): Promise<Result> =>
    transaction(pool, act).catch((error: unknown) => {
      throw asFault(error);
    });

  async function phaseKeys(campaignId: CampaignId): Promise<ReadonlyMap<PhaseId, PhaseKey>> {
    const rows = await query<{ phase_id: PhaseId; phase_key: PhaseKey }>(
      'SELECT phase_id, phase_key FROM control.phase WHERE campaign_id = $1',
      [campaignId],
    );
    return new Map(rows.map((row) => [row.phase_id, row.phase_key]));
  }

  const stored = async (row: CampaignRow): Promise<StoredCampaign> => ({
    id: row.campaign_id,
    version: row.version,
    contentHash: row.content_hash,
    source: row.source,
    phaseKeys: await phaseKeys(row.campaign_id),
  });

  return {
    ...createIdentityStore(pool),
    async phaseKeysFor(id, phases) {
      await query(
        'INSERT INTO control.phase (campaign_id, phase_id) SELECT $1, unnest($2::text[]) ON CONFLICT (campaign_id, phase_id) DO NOTHING',
        [id, phases],
      );
      return phaseKeys(id);
    },
    inTurn: (id, act) =>
      inTransaction(async (client) => {
        await client.query("SELECT pg_advisory_xact_lock(hashtextextended('turn ' || $1, 0))", [id]);
        return act();
      }),
    async storeCampaign(campaign) {
      const row = await transaction(pool, async (client) => {
        await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [campaign.id]);
        const { rows } = await client.query<CampaignRow>(
          'SELECT campaign_id, version, content_hash, source FROM control.campaign WHERE campaign_id = $1 ORDER BY version DESC LIMIT 1',
          [campaign.id],
        );
        const newest = rows[0];
        if (newest?.content_hash === campaign.contentHash) return newest;
        const version = (newest?.version ?? 0) + 1;
        await client.query(
          'INSERT INTO control.campaign (campaign_id, version, content_hash, source) VALUES ($1, $2, $3, $4)',
          [campaign.id, version, campaign.contentHash, campaign.source],
        );
        return {
          campaign_id: campaign.id,
          version,
          content_hash: campaign.contentHash,
          source: campaign.source,
        };
      });
      return stored(row);
    },
    async campaigns() {
      const rows = await query<CampaignRow>(
        'SELECT DISTINCT ON (campaign_id) campaign_id, version, content_hash, source FROM control.campaign ORDER BY campaign_id, version DESC',
        [],
      );
      return Promise.all(rows.map(stored));
    },
    async announcement() {
      const [row] = await query<{ sequence: bigint; envelope: Buffer }>(
        'SELECT sequence, envelope FROM control.announcement ORDER BY sequence DESC LIMIT 1',
        [],
      );
      return row && { sequence: Number(row.sequence), envelope: row.envelope };
    },
    putAnnouncement: (sequence, envelope, after) =>
      inTransaction(async (client) => {
        // One after the other: two that look at the same moment would both find nothing newer. Readers do not wait.
        await client.query('LOCK TABLE control.announcement IN EXCLUSIVE MODE');
        const { rowCount } = await client.query(
          `INSERT INTO control.announcement (sequence, envelope) SELECT $1, $2
           WHERE NOT EXISTS (SELECT 1 FROM control.announcement WHERE sequence > $3)`,
          [sequence, Buffer.from(envelope), after],
        );
        return rowCount === 1;
      }),
    async nowMs() {
      const [row] = await query<{ now_ms: bigint }>(
        'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms',
        [],
      );
      return instantMs(Number(row!.now_ms));
    },
    async putUpstream(credential, secretHash) {
      await query(
        `INSERT INTO control.upstream (name, campaign_id, scenes, secret_hash) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET campaign_id = $2, scenes = $3, secret_hash = $4`,
        [credential.name, credential.campaignId, [...credential.scenes], Buffer.from(secretHash)],
      );
    },
    async upstreamBySecret(secretHash) {
      const [row] = await query<{ name: string; campaign_id: CampaignId; scenes: SceneId[] }>(
        'SELECT name, campaign_id, scenes FROM control.upstream WHERE secret_hash = $1',
        [Buffer.from(secretHash)],
      );
      return row && { name: row.name, campaignId: row.campaign_id, scenes: new Set(row.scenes) };
    },
    async offerSetupToken(tokenHash) {
      await query(
        'INSERT INTO control.setup_token (token_hash) VALUES ($1) ON CONFLICT (token_hash) DO NOTHING',
        [Buffer.from(tokenHash)],
      );
    },
    async spendSetupToken(tokenHash, operator) {
      return transaction(pool, async (client) => {
        await client.query('LOCK TABLE control.setup_token IN EXCLUSIVE MODE');
        const { rowCount } = await client.query(
          'UPDATE control.setup_token SET spent = true WHERE token_hash = $1 AND NOT spent',
          [Buffer.from(tokenHash)],
        );
        if (rowCount !== 1) return false;
        // Every start without an operator printed another one; an old terminal or log must not hold a way in.
        await client.query('UPDATE control.setup_token SET spent = true WHERE NOT spent', []);
        await client.query(
          'INSERT INTO control.operator (name, key_hash) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET key_hash = $2',
          [operator.name, Buffer.from(operator.keyHash)],
        );
        return true;
      });
    },
    async operatorByKey(keyHash) {
      const [row] = await query<{ name: string }>('SELECT name FROM control.operator WHERE key_hash = $1', [
        Buffer.from(keyHash),
      ]);
      return row;
    },
    async operatorCount() {
      const [row] = await query<{ count: bigint }>('SELECT count(*) FROM control.operator', []);
      return Number(row!.count);
    },
  };
}
