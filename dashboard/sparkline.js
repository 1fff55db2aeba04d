// A row of small bars: how a number went, step by step.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 28;

export function makeSparkline() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "sparkline");
  svg.setAttribute("role", "img");
  svg.append(document.createElementNS(SVG, "path"));
  return svg;
}

export function drawSparkline(svg, numbers, label) {
  const highest = Math.max(1, ...numbers);
  const step = WIDTH / Math.max(1, numbers.length);
  const bar = Math.max(0.5, step - 1);
  const path = numbers.map((number, index) => {
    // A bar above 0 is always visible.
    const height = number ? Math.max(2, (number / highest) * HEIGHT) : 1;
    const left = (index * step).toFixed(2);
    return `M${left} ${HEIGHT}v${(-height).toFixed(2)}h${bar.toFixed(2)}v${height.toFixed(2)}z`;
  }).join("");
  if (svg.firstChild.getAttribute("d") !== path) svg.firstChild.setAttribute("d", path);
  svg.setAttribute("aria-label", label);
}
