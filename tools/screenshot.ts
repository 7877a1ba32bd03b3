// Writes the pictures of docs/images from the real page. Run it by hand: node tools/run.mjs tools/screenshot.ts
import { launchChromium, PHONE } from '../test/support/chromium.ts';
import { startEngineForTest } from '../test/support/engine.ts';

const engine = await startEngineForTest();
const browser = await launchChromium();
const page = await (await browser.newContext({ ...PHONE, reducedMotion: 'reduce' })).newPage();
const shot = (name: string) => page.screenshot({ path: `docs/images/${name}.png` });
await page.goto(`${engine.url}/?user=peony&lang=zh`);
await page.getByText('红包雨进行中').or(page.getByText('下一轮')).first().waitFor();
await shot('page');
await page.getByRole('button', { name: '摇一摇', exact: true }).first().click();
await page.getByRole('button', { name: '拆开红包' }).waitFor();
await shot('packet');
await page.getByRole('button', { name: '拆开红包' }).click();
await page.getByTestId('amount').waitFor();
await shot('opened');
await page.getByRole('button', { name: '看看钱包' }).click();
await page.getByTestId('balance').waitFor();
await page.waitForTimeout(400);
await shot('wallet');
await browser.close();
await engine.stop();
