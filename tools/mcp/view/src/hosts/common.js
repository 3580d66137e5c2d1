// What all hosts share.

/** The words of a tool's answer. */
export function textOf(answer) {
  return (answer.content ?? [])
    .filter((one) => one.type === 'text')
    .map((one) => one.text)
    .join('\n');
}

/** Let the browser save a file. */
export function anchorDownload(name, mime, base64) {
  const link = document.createElement('a');
  link.href = `data:${mime};base64,${base64}`;
  link.download = name;
  link.click();
}

/** UTF-8 text in base64. */
export function toBase64(text) {
  const bytes = new TextEncoder().encode(text);
  let binary = '';
  for (let start = 0; start < bytes.length; start += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(binary);
}
