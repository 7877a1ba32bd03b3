// Writes the pictures of docs/images from the real page. Run it by hand: node tools/run.mjs tools/screenshot.ts
// To look at every screen in both languages: node tools/run.mjs tools/screenshot.ts FOLDER all
import { mkdirSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { launchChromium, PHONE } from '../test/support/chromium.ts';
import { cashOnly, grantForTest, startEngineForTest } from '../test/support/engine.ts';

const folder = process.argv[2] ?? 'docs/images';
const isAll = process.argv[3] === 'all';
const IN_DOCS = ['page', 'packet', 'opened', 'wallet'];
mkdirSync(folder, { recursive: true });
const engine = await startEngineForTest({ campaignFile: cashOnly() });
const browser = await launchChromium();

/** The whole journey in one language; every picture's name ends with `suffix`. */
async function journey(lang: 'zh' | 'en', suffix: string): Promise<void> {
  const words = {
    zh: {
      raining: '红包雨进行中',
      open: '拆开红包',
      wallet: '看看钱包',
      out: '提现',
      next: '下一步',
      sure: '确认提现',
      done: '完成',
    },
    en: {
      raining: 'It is raining packets',
      open: 'Open the packet',
      wallet: 'See my wallet',
      out: 'Withdraw',
      next: 'Next',
      sure: 'Withdraw now',
      done: 'Done',
    },
  }[lang];
  const page: Page = await (await browser.newContext({ ...PHONE, reducedMotion: 'no-preference' })).newPage();
  const shot = async (name: string) => {
    if (!isAll && !IN_DOCS.includes(name)) return;
    // What flies has landed.
    await page.waitForTimeout(1_600);
    await page.screenshot({ path: `${folder}/${name}${suffix}.png` });
  };
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
  await page.goto(`${engine.url}/?user=peony-${lang}&lang=${lang}`);
  await page.getByText(words.raining).waitFor({ timeout: 180_000 });
  await shot('page');
  const packet = page.getByRole('button', { name: words.open });
  for (let tries = 0; tries < 60 && !(await packet.isVisible()); tries += 1) {
    await page.keyboard.press('Space');
    await packet.waitFor({ timeout: 1_000 }).catch(() => {});
    if (await page.locator('.card').isVisible()) await shot('greeting');
  }
  await packet.waitFor();
  await shot('packet');
  await page.keyboard.press('Enter');
  await page.getByTestId('amount').waitFor();
  await shot('opened');
  await grantForTest(engine, `peony-${lang}`, ['pendant', 'cinema', 'tea']);
  // Until the downstreams have handed them out.
  await page.waitForTimeout(3_000);
  await press(words.wallet);
  await page.locator('.records').waitFor();
  await shot('wallet');
  await press(words.out);
  await page.getByRole('textbox').fill('0.01');
  await shot('withdraw');
  await press(words.next);
  await shot('confirm');
  await press(words.sure);
  await page.locator('[data-state="paid"]').waitFor();
  await shot('paid');
  await press(words.done);
  await page.locator('.mark.out').waitFor();
  await shot('records');
  await page.context().close();
}

await journey('zh', '');
if (isAll) await journey('en', '-en');
await browser.close();
await engine.stop();
