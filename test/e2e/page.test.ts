import AxeBuilder from '@axe-core/playwright';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, launchChromium, PHONE } from '../support/chromium.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';

const chromium = findChromium();
if (!chromium)
  process.stderr.write(
    'no Chromium on this machine: the page is not tested (install it, or set CHROMIUM_PATH)\n',
  );

describe.skipIf(!chromium)('the page, in a browser, against the real engine', { timeout: 120_000 }, () => {
  let engine: TestEngine;
  let browser: Browser;

  beforeAll(async () => {
    [engine, browser] = await Promise.all([startEngineForTest(), launchChromium()]);
  });
  afterAll(async () => {
    await browser?.close();
    await engine?.stop();
  });

  async function openPage(
    user: string,
    lang: string,
    reducedMotion: 'reduce' | 'no-preference' = 'reduce',
  ): Promise<Page> {
    const context = await browser.newContext({ ...PHONE, reducedMotion });
    const page = await context.newPage();
    page.on('pageerror', (error) => {
      throw error;
    });
    await page.goto(`${engine.url}/?user=${user}&lang=${lang}`);
    return page;
  }
  /** Between two rounds, or while the engine warms up, a shake brings nothing: a person shakes again, and so do we. */
  const shakeUntilPacket = async (page: Page, label: string) => {
    const packet = page.getByRole('button', { name: label });
    for (let tries = 0; tries < 60 && !(await packet.isVisible()); tries += 1) {
      await page.keyboard.press('Space');
      await packet.waitFor({ timeout: 1_000 }).catch(() => {});
    }
    await packet.waitFor();
  };
  const assertAccessible = async (page: Page) => {
    const { violations } = await new AxeBuilder({ page: page as never })
      .withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'])
      .analyze();
    expect(
      violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(' ')}`),
    ).toEqual([]);
  };

  it('shakes, opens a packet, sees the money and takes it out', async () => {
    const page = await openPage('ming', 'zh');
    await assertAccessible(page);
    await shakeUntilPacket(page, '拆开红包');
    await page.getByRole('button', { name: '拆开红包' }).click();
    const amount = await page.getByTestId('amount').innerText();
    await assertAccessible(page);
    await page.getByRole('button', { name: '看看钱包' }).click();
    await expect
      .poll(() => page.getByTestId('balance').innerText())
      .toContain(amount.replace('元', '').trim());
    await assertAccessible(page);
    await page.getByRole('button', { name: '提现', exact: true }).click();
    await page.getByRole('button', { name: '全部' }).click();
    await assertAccessible(page);
    await page.getByRole('button', { name: '确认提现' }).click();
    await page.locator('[data-state="paid"]').waitFor();
    await assertAccessible(page);
    await page.getByRole('button', { name: '完成' }).click();
    await expect.poll(() => page.getByTestId('balance').innerText()).toContain('0.00');
    await page.getByText('已到账').waitFor();
  });

  it('is usable with the keyboard alone, in English', async () => {
    const page = await openPage('mei', 'en');
    await page.getByText('It is raining packets').or(page.getByText('Next round')).first().waitFor();
    await shakeUntilPacket(page, 'Open the packet');
    await page.keyboard.press('Enter');
    await page.getByTestId('amount').waitFor();
    await page.keyboard.press('Enter');
    await expect.poll(() => page.getByTestId('balance').innerText()).not.toContain('0.00');
    await page.getByRole('button', { name: 'Withdraw', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('textbox').focus();
    await page.keyboard.type('0.01');
    await page.keyboard.press('Enter');
    await page.locator('[data-state="paid"]').waitFor();
  });

  it('refuses amounts that make no sense, in words', async () => {
    const page = await openPage('mei', 'en');
    await page.getByRole('button', { name: 'Wallet' }).click();
    await page.getByRole('button', { name: 'Withdraw', exact: true }).click();
    for (const wrong of ['', '0', '-1', '1e3', '99999999', '0.001']) {
      await page.getByRole('textbox').fill(wrong);
      await page.getByRole('button', { name: 'Withdraw now' }).click();
      await page.getByRole('alert').waitFor();
    }
  });
});
