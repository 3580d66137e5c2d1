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
  const clicked = await page.evaluate(async () => {
    const { examples } = JSON.parse(document.getElementById('data').textContent);
    const withTarget = examples.findIndex((one) => one.layers[0].runs.length);
    const section = document.querySelectorAll('section.case')[withTarget];
    const canvas = section.querySelector('canvas');
    await document.images[0].decode();
    const buttons = [...section.querySelectorAll('button')];
    const drawn = buttons.map((one) => { one.click(); return canvas.toDataURL(); });
    section.querySelector('input').click();
    const outline = canvas.toDataURL();
    canvas.click();
    const dialog = document.querySelector('dialog');
    const opened = dialog.open && dialog.querySelector('canvas').getBoundingClientRect().width;
    dialog.querySelector('button').click();
    const large = buttons[0].getAttribute('aria-pressed');
    dialog.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const search = document.getElementById('search');
    const rows = () => document.querySelectorAll('#cases tbody tr').length;
    const all = rows();
    search.value = 'no such text';
    search.dispatchEvent(new Event('input'));
    const none = rows();
    search.value = '';
    search.dispatchEvent(new Event('input'));
    const sorting = document.querySelector('#cases th:last-child button');
    const ious = () => [...document.querySelectorAll('#cases tbody td:last-child')].map((one) => parseFloat(one.textContent));
    sorting.click();
    const upwards = ious();
    sorting.click();
    return {
      names: buttons.map((one) => one.textContent),
      different: new Set([...drawn, outline]).size,
      opened,
      closedOnPhoto: [large, buttons[0].getAttribute('aria-pressed')],
      rows: [all, none, rows()],
      ends: [upwards[0], ious()[0]],
      cutTables: [...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth).length,
    };
  });
  seen.push({
    name,
    elsewhere: requests.filter((url) => !url.startsWith('file:') && !url.startsWith('data:')),
    errors,
    clicked,
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
