// Opens a page in headless Chromium at several widths; prints what it saw as JSON.
// node look.mjs FILE SCREENSHOT_FOLDER
import chromium from '@sparticuz/chromium';
import puppeteer from 'puppeteer-core';

const [file, folder] = process.argv.slice(2);
const browser = await puppeteer.launch({
  args: [...chromium.args, '--no-sandbox'],
  executablePath: await chromium.executablePath(),
  headless: 'shell',
});
const seen = [];
for (const [name, width, scheme] of [['desktop', 1280, 'light'], ['phone', 390, 'dark']]) {
  const page = await browser.newPage();
  const requests = [], errors = [];
  page.on('request', (one) => requests.push(one.url()));
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.goto(`file://${file}`);
  await page.screenshot({ path: `${folder}/${name}.png` });
  seen.push({
    name,
    elsewhere: requests.filter((url) => !url.startsWith('file:') && !url.startsWith('data:')),
    errors,
    ...(await page.evaluate(() => ({
      pageWidth: document.documentElement.scrollWidth,
      windowWidth: innerWidth,
      background: getComputedStyle(document.body).backgroundColor,
      ink: getComputedStyle(document.body).color,
      pictures: [...document.images].length,
      brokenPictures: [...document.images].filter((one) => !one.naturalWidth).length,
      headings: [...document.querySelectorAll('h2')].map((one) => one.textContent),
      cutTexts: [...document.querySelectorAll('svg text')].filter((one) => {
        const box = one.getBoundingClientRect();
        const plot = one.ownerSVGElement.getBoundingClientRect();
        return box.left < plot.left - 1 || box.right > plot.right + 1;
      }).length,
    }))),
  });
}
await browser.close();
console.log(JSON.stringify(seen));
