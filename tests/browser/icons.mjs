// Draws the app's icons from web/static/img/vigie*.svg: `node icons.mjs`.
import { mkdir, readFile } from 'node:fs/promises';
import { launchChromium } from './launch.mjs';

const images = new URL('../../web/static/img/', import.meta.url);
const icons = new URL('../../web/static/app/icons/', import.meta.url);

const drawings = [
  ['vigie.svg', 'icon-192.png', 192],
  ['vigie.svg', 'icon-512.png', 512],
  ['vigie-mask.svg', 'maskable-192.png', 192],
  ['vigie-mask.svg', 'maskable-512.png', 512],
  ['vigie-mask.svg', 'apple-180.png', 180],
  ['vigie-badge.svg', 'badge-96.png', 96],
];

await mkdir(icons, { recursive: true });
const browser = await launchChromium();
const page = await browser.newPage();
for (const [from, to, size] of /** @type {[string, string, number][]} */ (drawings)) {
  await page.setViewportSize({ width: size, height: size });
  const svg = await readFile(new URL(from, images), 'base64');
  await page.setContent(`<style>body{margin:0}img{display:block}</style><img width="${size}" height="${size}" src="data:image/svg+xml;base64,${svg}">`);
  await page.screenshot({ path: new URL(to, icons).pathname, omitBackground: true });
}
for (const service of ['vaccin', 'sidep']) {
  await page.setViewportSize({ width: 256, height: 256 });
  const svg = await readFile(new URL(`${service}.svg`, images), 'base64');
  await page.setContent(`<style>body{margin:0}img{display:block}</style><img width="256" height="256" src="data:image/svg+xml;base64,${svg}">`);
  await page.screenshot({ path: new URL(`${service}.png`, images).pathname, omitBackground: true });
}
await browser.close();
