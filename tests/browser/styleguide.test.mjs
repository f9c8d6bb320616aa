// Every component, in the browsers and the ways in which people look at it.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { violations } from './axe.mjs';
import { launchChromium, launchFirefox } from './launch.mjs';

const root = new URL('../../', import.meta.url).pathname;
let folder, server, browser, address;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vigie-styleguide-'));
  await promisify(execFile)('go', ['build', '-o', join(folder, 'styleguide'), './internal/styleguide'], { cwd: root });
  server = spawn(join(folder, 'styleguide'), { stdio: ['ignore', 'pipe', 'inherit'] });
  [address] = await new Promise((resolve) => createInterface({ input: server.stdout }).once('line', (line) => resolve([line])));
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  server?.kill();
  await rm(folder, { recursive: true, force: true });
});

/** Opens the guide; complaints of the browser (policy, script) fail the test. */
async function open(t, options = {}, query = '') {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale: 'fr-FR', ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.on('console', (message) => assert.notEqual(message.type(), 'error', message.text()));
  page.on('pageerror', (error) => assert.fail(error));
  await page.goto(address + query);
  return page;
}

for (const width of [320, 390, 1280]) {
  for (const colorScheme of ['light', 'dark']) {
    for (const lang of ['fr', 'en']) {
      test(`axe finds nothing, nothing overflows, every target is large: ${width} px, ${colorScheme}, ${lang}`, async (t) => {
        const page = await open(t, { viewport: { width, height: 844 }, colorScheme }, `?lang=${lang}`);
        assert.deepEqual(await violations(page), []);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page scrolls sideways');
        const small = await page.evaluate(() => [...document.querySelectorAll('a, button, .field input, .option')]
          .filter((e) => e.checkVisibility() && !e.matches('p a, .skip'))
          .filter((e) => e.getBoundingClientRect().height < 48 || e.getBoundingClientRect().width < 48)
          .map((e) => e.outerHTML));
        assert.deepEqual(small, []);
      });
    }
  }
}

test('language and theme switch without script', async (t) => {
  const page = await open(t, { javaScriptEnabled: false });
  await page.click('text=English');
  await page.click('.theme-dark');
  await page.goto(address);
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
});

test('the theme switches in place, and what was typed stays', async (t) => {
  const page = await open(t);
  await page.fill('#g-id', '8 1234');
  await page.click('.theme-dark');
  assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(8, 12, 20)');
  assert.equal(await page.inputValue('#g-id'), '8 1234');
  await page.click('.theme-system a');
  assert.equal(await page.getAttribute('html', 'data-theme'), null);
});

test('the pad takes keys and touches, and says how many digits, never which', async (t) => {
  const page = await open(t);
  const said = page.locator('[data-pin-said]');
  const full = page.locator('.pin-dots .full');
  await page.keyboard.press('4');
  await page.click('.keypad [data-digit="7"]');
  assert.equal(await said.textContent(), 'Deuxième chiffre saisi');
  assert.equal(await full.count(), 2);
  await page.keyboard.press('Backspace');
  assert.equal(await full.count(), 1);
  await page.click('[data-pin-clear]');
  assert.equal(await said.textContent(), 'Saisie effacée');
  // In a field digits are text, not a PIN.
  await page.focus('#g-id');
  await page.keyboard.press('9');
  assert.equal(await full.count(), 0);
  const order = await page.locator('.keypad [data-digit]').allTextContents();
  assert.deepEqual(order, ['1', '2', '3', '4', '5', '6', '7', '8', '9', '0']);
});

test('the countdown is said at the start, at 20 s and at 5 s, and empties', async (t) => {
  const context = await browser.newContext({ locale: 'fr-FR', reducedMotion: 'reduce' });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(address);
  const first = page.locator('[data-countdown]').first();
  const status = first.locator('[role="status"]');
  const heard = [];
  for (let second = 0; second <= 90; second++) {
    const text = await status.textContent();
    if (text !== heard.at(-1)) heard.push(text);
    await page.clock.runFor(1000);
  }
  assert.equal(heard.length, 3, heard.join(' '));
  assert.match(heard[1], /^Il reste 20 secondes/);
  assert.match(heard[2], /^Il reste 5 secondes/);
  assert.equal(await first.locator('text').last().textContent(), '0:00');
  assert.equal(await first.locator('.ring-left').getAttribute('stroke-dasharray'), '0 100');
});

test('Firefox shows fonts and icons under the policy', async (t) => {
  const firefox = await launchFirefox();
  t.after(() => firefox.close());
  const page = await firefox.newPage();
  const complaints = [];
  page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
  await page.goto(address);
  assert.ok(await page.evaluate(async () => {
    await document.fonts.ready;
    return document.fonts.check('16px "Atkinson Hyperlegible"');
  }));
  assert.ok(await page.evaluate(() => document.querySelector('.choice .icon use').getBoundingClientRect().width > 0));
  assert.deepEqual(complaints, []);
});
