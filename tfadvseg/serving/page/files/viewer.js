// Draws a slice with contours, fills and maps; zooms, pans, and tells what lies under the pointer.

const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const MOST_ZOOM = 40;
const PIXELS_SHOWN = 10; // screen pixels a pixel from which on it is shown as a square

export class Viewer {
  #canvas;
  #tell;
  #slice = null;
  #hidden = new Set();
  #layer = "classes";
  #opacity = 0.3;
  #cross = null;
  #view = { zoom: 1, x: 0, y: 0 };
  #drawing = false;

  /** `tell` gets the place under pointer or cross, or null. */
  constructor(canvas, tell) {
    this.#canvas = canvas;
    this.#tell = tell;
    new ResizeObserver(() => this.#redraw()).observe(canvas);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, [event.offsetX, event.offsetY]);
    }, { passive: false });
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointerleave", () => this.#tell(this.#at(this.#cross)));
    canvas.addEventListener("dblclick", () => this.fit());
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Shows a slice; one of the same size keeps zoom and cross. */
  show(slice) {
    const old = this.#slice;
    const same = old && old.width === slice.width && old.height === slice.height;
    const outlines = new Map(
      slice.classes.map(({ index }) => [index, outline(slice.maps.mask, slice, index)]));
    this.#slice = { ...slice, outlines, heats: new Map() };
    if (!same) {
      this.#cross = null;
      this.fit();
    }
    this.#tell(this.#at(this.#cross));
    this.#redraw();
  }

  /** Chooses what lies over the image: `classes`, or the name of a map; opacity is in [0, 1]. */
  setLayer(name, opacity) {
    this.#layer = name;
    this.#opacity = opacity;
    this.#redraw();
  }

  setVisible(index, visible) {
    if (visible) this.#hidden.delete(index); else this.#hidden.add(index);
    this.#redraw();
  }

  fit() { this.#view = { zoom: 1, x: 0, y: 0 }; this.#redraw(); }

  /** Zooms around a place of the canvas, its middle by default. */
  zoom(factor, [x, y] = [this.#canvas.clientWidth / 2, this.#canvas.clientHeight / 2]) {
    const view = this.#view;
    const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
    const change = zoom / view.zoom;
    const [dx, dy] = [x - this.#canvas.clientWidth / 2, y - this.#canvas.clientHeight / 2];
    this.#view = zoom === 1 ? { zoom, x: 0, y: 0 }
      : { zoom, x: dx - (dx - view.x) * change, y: dy - (dy - view.y) * change };
    this.#redraw();
  }

  /** From pixels of the slice to those of the canvas as CSS counts them. */
  #matrix() {
    const { width, height, pixel_mm } = this.#slice;
    const [mmY, mmX] = pixel_mm ?? [1, 1];
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = Math.min(clientWidth / (width * mmX), clientHeight / (height * mmY));
    const [a, d] = [scale * mmX * this.#view.zoom, scale * mmY * this.#view.zoom];
    return new DOMMatrix([a, 0, 0, d, (clientWidth - a * width) / 2 + this.#view.x,
      (clientHeight - d * height) / 2 + this.#view.y]);
  }

  #redraw() {
    if (this.#drawing || !this.#slice) return;
    this.#drawing = true;
    requestAnimationFrame(() => { this.#drawing = false; this.#draw(); });
  }

  #draw() {
    const canvas = this.#canvas, slice = this.#slice, ratio = devicePixelRatio;
    if (!canvas.clientWidth) return;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const context = canvas.getContext("2d");
    const matrix = new DOMMatrix([ratio, 0, 0, ratio, 0, 0]).multiply(this.#matrix());
    context.setTransform(matrix);
    context.imageSmoothingEnabled = matrix.a < PIXELS_SHOWN * ratio;
    context.imageSmoothingQuality = "high";
    context.drawImage(slice.picture, 0, 0);
    if (this.#layer !== "classes") {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = this.#opacity;
      context.drawImage(this.#heat(this.#layer), 0, 0);
      context.globalAlpha = 1;
    }
    context.resetTransform();
    for (const { index, colour } of slice.classes) {
      if (this.#hidden.has(index)) continue;
      const path = new Path2D();
      path.addPath(slice.outlines.get(index), matrix);
      this.#drawClass(context, path, colour, ratio);
    }
    if (this.#cross) drawCross(context, matrix, this.#cross, ratio);
  }

  /** The line lies within the class, so that those of two that touch are both seen. */
  #drawClass(context, path, colour, ratio) {
    context.fillStyle = context.strokeStyle = colour;
    if (this.#layer === "classes") {
      context.globalAlpha = this.#opacity;
      context.fill(path);
      context.globalAlpha = 1;
    }
    context.save();
    context.clip(path);
    context.lineWidth = 4 * ratio;
    context.stroke(path);
    context.restore();
    context.strokeStyle = "#0009";
    context.lineWidth = ratio;
    context.stroke(path);
  }

  #heat(name) {
    const { heats, maps, width, height } = this.#slice;
    if (!heats.has(name)) {
      const canvas = new OffscreenCanvas(width, height);
      const pixels = new ImageData(width, height);
      maps[name].forEach((level, place) => pixels.data.set([...viridis(level), 255], place * 4));
      canvas.getContext("2d").putImageData(pixels, 0, 0);
      heats.set(name, canvas);
    }
    return heats.get(name);
  }

  #press(event) {
    if (event.pointerType !== "mouse") this.#move(event);
    if (event.button === 0 && this.#view.zoom > 1) this.#canvas.setPointerCapture(event.pointerId);
  }

  #move(event) {
    if (!this.#slice) return;
    if (this.#canvas.hasPointerCapture(event.pointerId)) {
      this.#view.x += event.movementX;
      this.#view.y += event.movementY;
      this.#redraw();
    }
    const point = this.#matrix().inverse().transformPoint({ x: event.offsetX, y: event.offsetY });
    this.#tell(this.#at([Math.floor(point.x), Math.floor(point.y)]));
  }

  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key], slice = this.#slice;
    if (!slice || event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) {
      const far = event.shiftKey ? 10 : 1;
      const [x, y] = this.#cross ?? [slice.width >> 1, slice.height >> 1];
      this.#cross = [clamp(x + step[0] * far, slice.width), clamp(y + step[1] * far, slice.height)];
      this.#tell(this.#at(this.#cross));
      this.#redraw();
    } else if ("+=-0".includes(event.key)) {
      if (event.key === "0") this.fit(); else this.zoom(event.key === "-" ? 1 / 1.2 : 1.2);
    } else if (event.key === "Escape") {
      this.#cross = null;
      this.#tell(null);
      this.#redraw();
    } else return;
    event.preventDefault();
  }

  /** What is known of a pixel; null off the slice. */
  #at(place) {
    if (!place || !this.#slice) return null;
    const { width, height, maps, classes } = this.#slice, [x, y] = place;
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    const offset = y * width + x;
    const share = (name) => maps[name] && maps[name][offset] / 255;
    return {
      x, y, found: classes.find(({ index }) => index === maps.mask[offset]) ?? null,
      probability: share("probability"), confidence: share("confidence"),
    };
  }
}

/** The border of a class along the edges of its pixels, as closed lines. */
export function outline(mask, { width, height }, index) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === index;
  const edges = new Map(); // from a corner to the next ones, with the class on the right
  const add = (x, y, toX, toY) => {
    const corner = y * (width + 1) + x;
    if (!edges.has(corner)) edges.set(corner, []);
    edges.get(corner).push([toX, toY]);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (mask[y * width + x] !== index) continue;
      if (!inside(x, y - 1)) add(x, y, x + 1, y);
      if (!inside(x + 1, y)) add(x + 1, y, x + 1, y + 1);
      if (!inside(x, y + 1)) add(x + 1, y + 1, x, y + 1);
      if (!inside(x - 1, y)) add(x, y + 1, x, y);
    }
  }
  const path = new Path2D();
  for (const first of edges.keys()) {
    while (edges.get(first).length) {
      let [x, y] = [first % (width + 1), Math.floor(first / (width + 1))];
      path.moveTo(x, y);
      for (let next = edges.get(first); next.length; next = edges.get(y * (width + 1) + x)) {
        [x, y] = next.pop();
        path.lineTo(x, y);
      }
      path.closePath();
    }
  }
  return path;
}

function drawCross(context, matrix, [x, y], ratio) {
  const at = matrix.transformPoint({ x: x + 0.5, y: y + 0.5 }), arm = 10 * ratio, gap = 3 * ratio;
  for (const [colour, width] of [["#000b", 4], ["#fff", 1.5]]) {
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(at.x + dx * gap, at.y + dy * gap);
      context.lineTo(at.x + dx * arm, at.y + dy * arm);
    }
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.stroke();
  }
}

function viridis(level) {
  const place = (level / 255) * (VIRIDIS.length - 1), step = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[step].map((low, channel) => low + (VIRIDIS[step + 1][channel] - low) * (place - step));
}

function clamp(value, length) {
  return Math.min(Math.max(value, 0), length - 1);
}
