/** Drawing over a face: its lines, the regions that the network sees, the heat map. It has no text,
 * because the canvas is mirrored together with the picture below it. */

const LINE_PX = 1.25;
const LIGHT = "rgb(255 255 255 / 75%)";
const SHADOW = "rgb(0 0 0 / 35%)";
const REGION = "rgb(255 255 255 / 45%)";

/** Opacity where the network looked most; less shows no difference on skin. */
const HEAT_OPACITY = 0.6;

/** Viridis at equal steps: red, green, blue. */
const HEAT_COLOURS = [
  [68, 1, 84],
  [72, 40, 120],
  [62, 74, 137],
  [49, 104, 142],
  [38, 130, 142],
  [31, 158, 137],
  [53, 183, 121],
  [109, 205, 89],
  [180, 222, 44],
  [253, 231, 37],
];

/** @typedef {import("./scene.js").Scene} Scene */

export class FaceLines {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
  }

  #canvas;
  #context;
  #levels = document.createElement("canvas"); // one region's heat, a pixel a level

  /** @param {{width: number, height: number}} size  of the picture that is sent; all coordinates
   * are its pixels */
  fit({ width, height }) {
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
  }

  clear() {
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** @param {Scene} scene  @param {boolean} with_heat */
  draw(scene, with_heat) {
    this.clear();
    for (const face of scene.faces) {
      if (with_heat && face.heat) this.#drawHeat(face);
      const is_primary = face === scene.primary;
      if (is_primary) this.#drawRegions(face);
      const is_lively = is_primary && face.state === "expression" && scene.top_label !== null;
      this.#drawLines(face, is_lively ? scene.colours[scene.top_label] : LIGHT);
    }
  }

  #drawLines({ lines }, colour) {
    const context = this.#context;
    context.beginPath();
    for (const line of lines) trace(context, line);
    this.#stroke(SHADOW, 2.5 * LINE_PX);
    this.#stroke(colour, colour === LIGHT ? LINE_PX : 1.5 * LINE_PX);
  }

  #drawRegions({ regions }) {
    const context = this.#context;
    context.beginPath();
    for (const corners of regions) {
      trace(context, corners);
      context.closePath();
    }
    this.#stroke(SHADOW, 2 * LINE_PX);
    this.#stroke(REGION, LINE_PX);
  }

  #stroke(colour, width_px) {
    this.#context.strokeStyle = colour;
    this.#context.lineWidth = width_px;
    this.#context.stroke();
  }

  #drawHeat({ regions, heat }) {
    const context = this.#context;
    regions.forEach(([x0, y0, x1, y1, , , x3, y3], index) => {
      this.#paintLevels(heat[index]);
      context.save();
      // From the unit square to the region: its upper and its left edge.
      context.transform(x1 - x0, y1 - y0, x3 - x0, y3 - y0, x0, y0);
      context.drawImage(this.#levels, 0, 0, 1, 1);
      context.restore();
    });
  }

  /** @param {number[][]} levels  0 to 255 */
  #paintLevels(levels) {
    const [rows, columns] = [levels.length, levels[0].length];
    this.#levels.width = columns;
    this.#levels.height = rows;
    const image = new ImageData(columns, rows);
    levels.flat().forEach((level, index) => image.data.set(heatColour(level / 255), 4 * index));
    this.#levels.getContext("2d").putImageData(image, 0, 0);
  }
}

function trace(context, points) {
  context.moveTo(points[0], points[1]);
  for (let i = 2; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
}

/** Red, green, blue, alpha. The opacity grows with the root of the level, so that what the network
 * hardly looked at stays clear and the middle can still be seen. */
function heatColour(share) {
  const place = share * (HEAT_COLOURS.length - 1);
  const below = Math.min(Math.floor(place), HEAT_COLOURS.length - 2);
  const mixed = HEAT_COLOURS[below].map(
    (from, channel) => from + (place - below) * (HEAT_COLOURS[below + 1][channel] - from),
  );
  return [...mixed, 255 * HEAT_OPACITY * Math.sqrt(share)];
}
