import AxeBuilder from '@axe-core/playwright';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_KINDS } from '../../src/protocol/error-kinds.ts';
import { ClientFrameSchema, ServerFrameSchema } from '../../src/protocol/gen/hongbao/v1/play_pb.ts';
import { findChromium, launchChromium, PHONE } from '../support/chromium.ts';
import { cashOnly, sessionOf, startEngineForTest, type TestEngine } from '../support/engine.ts';

const chromium = findChromium();
if (!chromium)
  process.stderr.write(
    'no Chromium on this machine: the page is not tested (install it, or set CHROMIUM_PATH)\n',
  );

describe.skipIf(!chromium)('the page, in a browser, against the real engine', { timeout: 120_000 }, () => {
  let engine: TestEngine;
  let browser: Browser;
  const contexts: BrowserContext[] = [];
  const broken: Error[] = [];

  beforeAll(async () => {
    [engine, browser] = await Promise.all([
      startEngineForTest({ campaignFile: cashOnly() }),
      launchChromium(),
    ]);
  });
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    expect(broken.splice(0)).toEqual([]);
  });
  afterAll(async () => {
    await browser?.close();
    await engine?.stop();
  });

  async function newPhone(reducedMotion: 'reduce' | 'no-preference' = 'reduce'): Promise<Page> {
    const context = await browser.newContext({ ...PHONE, reducedMotion });
    contexts.push(context);
    const page = await context.newPage();
    page.on('pageerror', (error) => broken.push(error));
    return page;
  }
  async function openPage(user: string, lang: 'zh' | 'en', page?: Page): Promise<Page> {
    const opened = page ?? (await newPhone());
    await opened.goto(`${engine.url}/?user=${user}&lang=${lang}`);
    return opened;
  }
  /**
   * Between two rounds, or while the engine warms up, a shake brings nothing: a person shakes again, and so do we. On
   * a machine that is busy the engine tells phones to ask once a minute: a new page asks at its first shake.
   */
  const shakeUntilPacket = async (page: Page, label: string) => {
    const packet = page.getByRole('button', { name: label });
    for (let tries = 1; tries < 90 && !(await packet.isVisible()); tries += 1) {
      if (tries % 8 === 0) await page.reload();
      await page.locator('.envelope').waitFor();
      await page.keyboard.press('Space');
      await packet.waitFor({ timeout: 1_000 }).catch(() => {});
    }
    await packet.waitFor();
  };
  const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
  const press = (page: Page, name: string) => button(page, name).click();
  const assertAccessible = async (page: Page, screen: string) => {
    const { violations } = await new AxeBuilder({ page: page as never })
      // In the page itself: a page of its own for every look would take longer than the look.
      .setLegacyMode(true)
      .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
      .analyze();
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
    expect(found, screen).toEqual([]);
    const isTooWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(isTooWide, `${screen} is wider than the phone`).toBe(false);
  };
  const balanceOf = (page: Page) => page.getByTestId('balance').innerText();
  /** By Tab alone, as somebody without a pointer would; from wherever the focus is. */
  const tabTo = async (page: Page, name: string) => {
    for (let tries = 0; tries < 30; tries += 1) {
      await page.keyboard.press('Tab');
      const focused = await page.evaluate(() => {
        const element = document.activeElement as HTMLElement | null;
        return element?.getAttribute('aria-label') ?? element?.innerText ?? '';
      });
      if (focused.trim() === name) return;
    }
    throw new Error(`Tab does not lead to "${name}"`);
  };

  it('shakes, opens a packet, sees the money and takes it out', async () => {
    const page = await openPage('ming', 'zh');
    await page.getByText('今晚的红包来自').waitFor();
    await assertAccessible(page, 'shake');
    await shakeUntilPacket(page, '拆开红包');
    await assertAccessible(page, 'packet');
    await press(page, '拆开红包');
    const amount = await page.getByTestId('amount').innerText();
    await assertAccessible(page, 'opened');
    await press(page, '看看钱包');
    await expect.poll(() => balanceOf(page)).toContain(amount);
    await assertAccessible(page, 'wallet');
    await press(page, '提现');
    await press(page, '全部');
    expect(await page.getByRole('textbox').inputValue()).toBe(amount);
    await assertAccessible(page, 'withdraw');
    await press(page, '下一步');
    await page.getByText('将提现到你的零钱').waitFor();
    await assertAccessible(page, 'confirm');
    await press(page, '确认提现');
    await page.locator('[data-state="paid"]').waitFor();
    await assertAccessible(page, 'paid');
    await press(page, '完成');
    await expect.poll(() => balanceOf(page)).toContain('0.00');
    await page.getByText('已到账').waitFor();
    await assertAccessible(page, 'records');
    // What was taken out was given all the same: everybody's number has it, and only goes up.
    await press(page, '摇一摇');
    await page.getByText('已发出').waitFor();
    await assertAccessible(page, 'given so far');
    const givenFen = async () =>
      Math.round(Number((await page.getByTestId('given').innerText()).replaceAll(/[¥,]/g, '')) * 100);
    const shown = await givenFen();
    expect(shown).toBeGreaterThanOrEqual(Math.round(Number(amount) * 100));
    const answer = await fetch(`${engine.url}/v1/campaigns/gala/total`);
    expect(answer.headers.get('cache-control')).toBe('public, max-age=1');
    const { fen, phase } = (await answer.json()) as { fen: number; phase: string };
    expect(fen).toBeGreaterThanOrEqual(shown);
    let asked = 0;
    await page.route('**/total', async (route) => {
      await route.fulfill({ json: { phase, fen: 1, packets: 1 } });
      asked += 1;
    });
    // On a busy machine phones are told to ask twice a minute.
    await expect.poll(() => asked, { timeout: 60_000 }).toBeGreaterThan(0);
    await page.waitForTimeout(500);
    expect(await givenFen()).toBeGreaterThanOrEqual(shown);
  });

  it('goes the whole way with the keyboard alone, in English', async () => {
    const page = await openPage('mei', 'en');
    await page.getByText('packets come from').waitFor();
    await assertAccessible(page, 'shake');
    await shakeUntilPacket(page, 'Open the packet');
    await assertAccessible(page, 'packet');
    await page.keyboard.press('Enter');
    await page.getByTestId('amount').waitFor();
    await assertAccessible(page, 'opened');
    await page.keyboard.press('Enter');
    await expect.poll(() => balanceOf(page)).toMatch(/[1-9]/);
    await assertAccessible(page, 'wallet');
    await tabTo(page, 'Withdraw');
    await page.keyboard.press('Enter');
    await page.getByRole('textbox').waitFor();
    await page.keyboard.type('0.01');
    await assertAccessible(page, 'withdraw');
    await page.keyboard.press('Enter');
    await page.getByText('This goes to your change wallet').waitFor();
    await assertAccessible(page, 'confirm');
    await tabTo(page, 'Withdraw now');
    await page.keyboard.press('Enter');
    await page.locator('[data-state="paid"]').waitFor();
    await assertAccessible(page, 'paid');
    await tabTo(page, 'Done');
    await page.keyboard.press('Enter');
    await page.locator('.records').getByText('-0.01').waitFor();
    await assertAccessible(page, 'records');
    await tabTo(page, 'Shake');
    await page.keyboard.press('Enter');
    await button(page, 'Shake').first().waitFor();
  });

  it('keeps a packet that is not opened: Escape leaves it, the focus returns, a later look finds it', async () => {
    const page = await openPage('lan', 'en');
    await shakeUntilPacket(page, 'Open the packet');
    const inDialog = () => page.evaluate(() => document.activeElement?.closest('[role=dialog]') !== null);
    for (const key of ['Tab', 'Tab', 'Tab', 'Shift+Tab', 'Shift+Tab', 'Shift+Tab']) {
      await page.keyboard.press(key);
      expect(await inDialog(), key).toBe(true);
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    // The dialog is gone a moment before the focus is back.
    await page.locator('.envelope:focus').waitFor();
    await assertAccessible(page, 'shake, with a packet waiting');
    await page.reload();
    await press(page, 'You have a packet to open');
    await press(page, 'Open the packet');
    await page.getByTestId('amount').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await button(page, 'You have a packet to open').isVisible()).toBe(false);
  });

  it('says so when opening fails for the moment, and opens the same packet at the next try', async () => {
    const page = await newPhone();
    let refused = 0;
    await page.routeWebSocket(/\/v1\/play$/, (phone) => {
      const gateway = phone.connectToServer();
      phone.onMessage((message) => {
        const frame = fromBinary(ClientFrameSchema, message as Buffer);
        if (frame.body.case !== 'open' || refused > 0) return gateway.send(message);
        refused += 1;
        const { wireCode: code, retryable } = ERROR_KINDS['log-unavailable'];
        const value = { $typeName: 'hongbao.v1.Problem' as const, code, detail: 'disk full', retryable };
        const answer = create(ServerFrameSchema, {
          requestId: frame.requestId,
          body: { case: 'problem', value },
        });
        phone.send(Buffer.from(toBinary(ServerFrameSchema, answer)));
      });
    });
    await openPage('hua', 'zh', page);
    await shakeUntilPacket(page, '拆开红包');
    await press(page, '拆开红包');
    await page.getByRole('alert').waitFor();
    await assertAccessible(page, 'packet that did not open');
    await press(page, '再试一次');
    await page.getByTestId('amount').waitFor();
    expect(refused).toBe(1);
  });

  it('shows a packet opening, its amount running up, to those who like motion', async () => {
    const page = await newPhone('no-preference');
    await page.addInitScript(() => {
      addEventListener('transitionrun', (event) => {
        if ((event.target as HTMLElement).matches('.opened .cover')) document.body.dataset.flew = 'yes';
      });
    });
    await openPage('yun', 'en', page);
    await shakeUntilPacket(page, 'Open the packet');
    await page.keyboard.press('Enter');
    await page.locator('body[data-flew="yes"]').waitFor();
    const whole = await page.locator('.amount .for-readers').innerText();
    await expect.poll(() => page.getByTestId('amount').innerText(), { timeout: 20_000 }).toBe(whole);
  });

  it('refuses amounts that make no sense, in words', async () => {
    const page = await openPage('mei', 'en');
    await press(page, 'Wallet');
    await press(page, 'Withdraw');
    for (const wrong of ['', '0', '-1', '1e3', '99999999', '0.001']) {
      await page.getByRole('textbox').fill(wrong);
      await press(page, 'Next');
      await page.getByRole('alert').waitFor();
    }
    await assertAccessible(page, 'a wrong amount');
    await press(page, 'Back');
    await page.getByTestId('balance').waitFor();
  });

  it('knows of a withdrawal whose answer got lost, and asks what became of it: paid, once', async () => {
    const page = await openPage('bo', 'en');
    await shakeUntilPacket(page, 'Open the packet');
    await press(page, 'Open the packet');
    await press(page, 'See my wallet');
    await expect.poll(() => balanceOf(page)).toMatch(/[1-9]/);
    const before = Math.round(Number((await balanceOf(page)).replace('¥', '')) * 100);
    let asked = 0;
    await page.route('**/withdrawals', async (route) => {
      asked += 1;
      const response = await route.fetch();
      return asked === 1 ? route.abort() : route.fulfill({ response });
    });
    await press(page, 'Withdraw');
    await page.getByRole('textbox').fill('0.01');
    await press(page, 'Next');
    await press(page, 'Withdraw now');
    await page.getByRole('alert').waitFor();
    await press(page, 'Change the amount');
    await press(page, 'Back');
    await page.getByText('A withdrawal of ¥0.01 is not confirmed yet').waitFor();
    await assertAccessible(page, 'an unconfirmed withdrawal');
    await press(page, 'Check it');
    await page.locator('[data-state="paid"]').waitFor();
    await press(page, 'Done');
    await expect.poll(() => balanceOf(page)).toBe(`¥${((before - 1) / 100).toFixed(2)}`);
    expect(await page.getByText('is not confirmed yet').count()).toBe(0);
  });

  it('loads older records once for two taps, and can be asked again when that failed', async () => {
    const page = await newPhone();
    const line = (index: number) => ({
      kind: 'credit',
      ref: `r${index}`,
      atMs: 1_800_000_000_000 - index,
      amountFen: 1,
      status: 'credited',
      bill: { zh: `第${index}个`, en: `No. ${index}` },
    });
    await page.route('**/wallet', (route) =>
      route.fulfill({
        json: {
          balanceFen: 3,
          creditedFen: 3,
          outstandingFen: 0,
          heldFen: 0,
          totalIncomeFen: 3,
          records: [line(1)],
          nextCursor: 'next',
          refusedTokens: [],
        },
      }),
    );
    let asked = 0;
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await page.route('**/wallet/records*', async (route) => {
      asked += 1;
      if (asked === 1) return route.abort();
      await released;
      return route.fulfill({ json: { records: [line(2), line(3)] } });
    });
    await openPage('old', 'en', page);
    await press(page, 'Wallet');
    await press(page, 'More');
    await page.getByRole('alert').waitFor();
    await press(page, 'More');
    await press(page, 'More');
    release();
    await page.getByText('No. 3').waitFor();
    expect(await page.locator('.records li').count()).toBe(3);
    expect(asked).toBe(2);
    expect(await button(page, 'More').count()).toBe(0);
  });

  it('works where the browser forbids storage', async () => {
    const page = await newPhone();
    await page.addInitScript(() =>
      Object.defineProperty(window, 'localStorage', {
        get() {
          throw new DOMException('denied', 'SecurityError');
        },
      }),
    );
    await openPage('ghost', 'en', page);
    await shakeUntilPacket(page, 'Open the packet');
    await press(page, 'Open the packet');
    await page.getByTestId('amount').waitFor();
  });

  it('keeps two people of one app apart on one phone, by their sessions', async () => {
    const page = await newPhone();
    let user = 'first';
    await page.exposeFunction('hongbaoSession', () => sessionOf(engine, user));
    await page.goto(`${engine.url}/?lang=en`);
    await shakeUntilPacket(page, 'Open the packet');
    await page.keyboard.press('Escape');
    await button(page, 'You have a packet to open').waitFor();
    user = 'second';
    await page.reload();
    await press(page, 'Wallet');
    await expect.poll(() => balanceOf(page)).toContain('0.00');
    await press(page, 'Shake');
    expect(await button(page, 'You have a packet to open').count()).toBe(0);
    user = 'first';
    await page.reload();
    await button(page, 'You have a packet to open').waitFor();
    const owners = await page.evaluate(() =>
      Object.keys(localStorage).filter((key) => key.includes(encodeURIComponent('"first"'))),
    );
    expect(owners.length).toBeGreaterThan(0);
  });

  it('says when the gala can’t be entered, and speaks the other language at a tap', async () => {
    const page = await newPhone();
    await page.goto(`${engine.url}/?campaign=none&lang=en&user=x`);
    await page.getByText('can’t be entered').waitFor();
    await assertAccessible(page, 'refused');
    await press(page, '中文');
    await page.getByText('暂时进不了活动').waitFor();
    expect(await page.locator('html').getAttribute('lang')).toBe('zh-CN');
  });
});
