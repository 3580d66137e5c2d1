// Drops a picture into the page of a server, types, and looks; prints what is seen as JSON.
// node playground.mjs URL PICTURE SCREENSHOT_FOLDER
import { readFileSync } from 'node:fs';
import { launch } from './browser.mjs';

const [url, picture, folder] = process.argv.slice(2);
const browser = await launch();
const page = await browser.newPage();
const errors = [];
page.on('pageerror', (error) => errors.push(String(error)));
page.on('console', (line) => line.type() === 'error' && errors.push(line.text()));
await page.setViewport({ width: 1280, height: 800 });
await page.goto(url);
await page.waitForSelector('#app[data-ready]');
await page.evaluate((base64) => {
  const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], 'scene.png', { type: 'image/png' }));
  document.querySelector('.empty').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
}, readFileSync(picture).toString('base64'));
await page.waitForSelector('.world:not([hidden])');
await page.type('#words', 'diamond');
await page.keyboard.press('Enter');
await page.waitForSelector('.row', { timeout: 60_000 });
const seen = await page.evaluate(() => ({
  rows: document.querySelectorAll('.row').length,
  problem: document.querySelector('.problem').textContent,
  fits: document.documentElement.scrollHeight <= innerHeight,
}));
await page.screenshot({ path: `${folder}/playground.png` });
await browser.close();
console.log(JSON.stringify({ ...seen, errors }));
