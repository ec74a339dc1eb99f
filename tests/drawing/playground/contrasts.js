// The contrast of each text that is seen with what lies behind it: [[text, ratio], …], as WCAG 2 defines it.
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgb = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || node.closest("script, svg, option") || !node.checkVisibility()) continue;
    found.push([walker.currentNode.data.trim().slice(0, 40),
      contrast(rgb(getComputedStyle(node).color), ground(node))]);
  }
  const fill = selector => rgb(getComputedStyle(document.querySelector(selector)).fill);
  for (const [text, under] of [[".number", ".blue-tint"], [".number.read", ".orange-tap"], [".weight", ".orange-tap"],
      [".number", ".green-fill"], [".number", ".orange-tint"], [".copied", ".faint-area, .blue-copy-area"]]) {
    if (document.querySelector(`#drawing ${text}`)) {
      found.push([`${text} on ${under}`, contrast(fill(`#drawing ${text}`), fill(`#drawing :is(${under})`))]);
    }
  }
  return found;
}
