// Short forms for making elements.

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, children = []) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Fills a select with `values`, named by `names`, unless it already holds just these. */
export function options(select, values, names, chosen) {
  values.forEach((value, i) => {
    const option = select.options[i] ?? select.appendChild(element("option"));
    if (option.value !== value) option.value = value;
    if (option.textContent !== names[value]) option.textContent = names[value];
  });
  while (select.options.length > values.length) select.lastChild.remove();
  select.value = chosen;
}

/** Sets an element's text where it changes, so that a screen reader does not say the same again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
