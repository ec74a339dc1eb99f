// Settings to start from, as addresses.

export const EXAMPLES = {
  plain: "in=3x7x7&out=4&k=3&s=1&p=1",
  stem: "in=3x21x21&out=8&k=7&s=2&p=3&bias=0",
  depthwise: "in=4x7x7&out=4&k=3&s=1&p=1&g=4",
  pointwise: "in=4x6x6&out=6&k=1&s=1&p=0",
  dilated: "in=3x9x9&out=4&k=3&s=1&p=2&d=2",
  keras: "in=3x6x6&out=4&k=3&s=2&p=same_upper",
  circular: "in=1x6x6&out=2&k=3&s=1&p=1&mode=circular",
  mismatch: "in=3x5x5&out=4&k=3&s=1&p=0&d=3",
};
