import { readFileSync } from 'node:fs';
import AxeBuilder from '@axe-core/playwright';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCampaign } from '../../src/campaign/read.ts';
import { AWARD_TYPES, isMoney } from '../../src/vocabulary/award-type.ts';
import { findChromium, launchChromium, PHONE } from '../support/chromium.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';

const FILE = 'examples/gala.yaml';
const read = readCampaign(readFileSync(FILE, 'utf8'));
if ('problems' in read) throw new Error('the example has mistakes');
const scenes = read.draft.rewards.flatMap((reward) => reward.items.flatMap((item) => item.scenes));

it('the example has a scene of every award type', () => {
  expect(new Set(scenes.map((scene) => scene.award))).toEqual(new Set(AWARD_TYPES));
});

describe.skipIf(!findChromium())('every award, granted by a service upstream', { timeout: 120_000 }, () => {
  let engine: TestEngine;
  let browser: Browser;
  let page: Page;
  /** One scene of each type; of cash the one whose amount the service names. */
  const granted = AWARD_TYPES.map((award) =>
    isMoney(award)
      ? scenes.find((scene) => scene.amount.rule === 'given')!
      : scenes.find((scene) => scene.award === award)!,
  );

  beforeAll(async () => {
    [engine, browser] = await Promise.all([startEngineForTest(), launchChromium()]);
    page = await (await browser.newContext({ ...PHONE, reducedMotion: 'reduce' })).newPage();
  });
  afterAll(async () => {
    await browser?.close();
    await engine?.stop();
  });

  const post = async (url: string, bearer: string, body: object) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  it('is taken by one API that knows no difference between them', async () => {
    const { body } = await post(`${engine.opsUrl}/ops/v1/upstreams`, engine.operatorKey(), {
      name: 'show',
      campaignId: 'gala',
      scenes: granted.map((scene) => scene.id),
    });
    for (const scene of granted) {
      const answer = await post(`${engine.url}/v1/grants`, body.secret as string, {
        campaignId: 'gala',
        sceneId: scene.id,
        rainId: 1,
        app: 'demo',
        user: 'ling',
        ...(scene.amount.rule === 'given' ? { amountFen: 888 } : {}),
      });
      expect(answer, scene.id).toMatchObject({ status: 200, body: { replayed: false } });
    }
  });

  const assertAccessible = async (screen: string) => {
    const { violations } = await new AxeBuilder({ page: page as never }).setLegacyMode(true).analyze();
    expect(
      violations.map(({ id }) => id),
      screen,
    ).toEqual([]);
  };

  it('is seen in the wallet, and used there, with the keyboard too', async () => {
    await page.goto(`${engine.url}/?user=ling&lang=zh`);
    await page.getByRole('button', { name: '钱包', exact: true }).click();
    await expect.poll(() => page.getByTestId('balance').innerText()).toContain('8.88');
    await assertAccessible('wallet');
    for (const { award, bill } of granted) {
      if (isMoney(award)) continue;
      const line = page.locator(`[data-award="${award}"]`);
      await line.getByText(bill.zh).waitFor();
      await untilReady(line);
      if (award === 'greeting') continue;
      await line.getByRole('button').click();
      const dialog = page.getByRole('dialog');
      await dialog.getByRole('heading', { name: bill.zh }).waitFor();
      if (award === 'cinema-ticket') {
        await assertAccessible('voucher');
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'detached' });
        await page.keyboard.press('Enter');
      }
      await expect.poll(() => page.evaluate(() => document.activeElement?.className)).toBe('gold');
      await page.keyboard.press('Enter');
      await page.locator(`[data-award="${award}"][data-state="used"]`).waitFor();
      await expect.poll(() => page.evaluate(() => document.activeElement?.className)).toBe('awards');
    }
  });

  it('is seen in another app too, once a phone number says that it is the same person', async () => {
    const phone = encodeURIComponent('+8613800138000');
    const openWallet = async (query: string) => {
      await page.goto(`${engine.url}/?lang=zh&${query}&phone=${phone}`);
      await page.getByRole('button', { name: '钱包', exact: true }).click();
      await page.getByTestId('balance').waitFor();
    };
    await openWallet('user=ling');
    await openWallet('user=xiaoling&app=video');
    await expect.poll(() => page.getByTestId('balance').innerText()).toContain('8.88');
    await page.locator('[data-award="cinema-ticket"][data-state="used"]').waitFor();
  });

  /** Downstreams take a moment; a person looks again. */
  async function untilReady(line: ReturnType<Page['locator']>): Promise<void> {
    await expect
      .poll(
        async () => {
          const state = await line.getAttribute('data-state');
          if (state === 'granted' || state === 'asking') {
            await page.reload();
            await page.getByRole('button', { name: '钱包', exact: true }).click();
            await line.waitFor();
          }
          return state;
        },
        { timeout: 30_000 },
      )
      .toBe('fulfilled');
  }
});
