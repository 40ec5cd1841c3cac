// Filters: an image's spectrum once, then any radius by one multiplication and one inverse transform.
// The same gains as bandscope.spectral: distances from DC in cycles per image, squared, with a tolerance of 1e-9.

const plans = new Map();
const complex = (n) => ({ re: new Float64Array(n), im: new Float64Array(n) });

/** Twiddles and prime factors of a transform of length n. */
function planOf(n) {
  if (!plans.has(n)) {
    const factors = [];
    for (let rest = n, p = 2; rest > 1; p++) while (rest % p === 0) { factors.push(p); rest /= p; }
    const cosines = new Float64Array(n);
    const sines = new Float64Array(n);
    for (let k = 0; k < n; k++) {
      cosines[k] = Math.cos((2 * Math.PI * k) / n);
      sines[k] = -Math.sin((2 * Math.PI * k) / n);
    }
    plans.set(n, { n, factors, cosines, sines, scratch: complex(Math.max(1, ...factors)) });
  }
  return plans.get(n);
}

/** Discrete Fourier transform of any length, by its prime factors (Cooley and Tukey), into `out` from `at` on. */
function transform(plan, input, from, step, out, at, length, depth) {
  if (length === 1) {
    out.re[at] = input.re[from];
    out.im[at] = input.im[from];
    return;
  }
  const p = plan.factors[depth];
  const part = length / p;
  for (let q = 0; q < p; q++) transform(plan, input, from + q * step, step * p, out, at + q * part, part, depth + 1);
  const turn = plan.n / length;
  const { re, im } = plan.scratch; // free again: the parts are done
  for (let k = 0; k < part; k++) {
    for (let q = 0; q < p; q++) {
      const w = (turn * q * k) % plan.n;
      const a = out.re[at + q * part + k];
      const b = out.im[at + q * part + k];
      re[q] = a * plan.cosines[w] - b * plan.sines[w];
      im[q] = a * plan.sines[w] + b * plan.cosines[w];
    }
    for (let r = 0; r < p; r++) {
      let sumRe = 0;
      let sumIm = 0;
      for (let q = 0; q < p; q++) {
        const w = ((plan.n / p) * q * r) % plan.n;
        sumRe += re[q] * plan.cosines[w] - im[q] * plan.sines[w];
        sumIm += re[q] * plan.sines[w] + im[q] * plan.cosines[w];
      }
      out.re[at + r * part + k] = sumRe;
      out.im[at + r * part + k] = sumIm;
    }
  }
}

/** Two-dimensional transform of a complex image; the inverse by swapping real and imaginary parts, and 1 / (h w). */
function transform2(image, height, width, inverse) {
  let now = inverse ? { re: image.im, im: image.re } : image;
  for (const [rows, columns] of [[height, width], [width, height]]) {
    const plan = planOf(columns);
    const line = complex(columns);
    const turned = complex(rows * columns);
    for (let row = 0; row < rows; row++) {
      transform(plan, now, row * columns, 1, line, 0, columns, 0);
      for (let column = 0; column < columns; column++) {
        turned.re[column * rows + row] = line.re[column];
        turned.im[column * rows + row] = line.im[column];
      }
    }
    now = turned;
  }
  if (!inverse) return now;
  const scale = 1 / (height * width);
  return { re: now.im.map((value) => value * scale), im: now.re.map((value) => value * scale) };
}

// ---- gains

/** Distances of the bins of one axis from the centre, in cycles per image. */
function axisFrequencies(n, side, centre) {
  const offset = centre === "half-pixel" && n % 2 === 0 ? 0.5 : 0;
  return Float64Array.from({ length: n }, (_, k) => ((k < Math.floor((n + 1) / 2) ? k : k - n) + offset) * (side / n));
}

function gainAt(squared, radius, family) {
  if (family === "ideal" || radius === 0) return squared <= radius * radius * (1 + 1e-9) ? 1 : 0;
  if (family === "gaussian") return 2 ** (-squared / (radius * radius));
  return 1 / (1 + (squared / (radius * radius)) ** 2);
}

/** The gain of a probe at a radius, over the full spectrum; real and symmetric. */
function gainOf(height, width, radius, probe, convention) {
  const side = Math.min(height, width);
  const fy = axisFrequencies(height, side, convention.centre);
  const fx = axisFrequencies(width, side, convention.centre);
  const bare = new Float64Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const squared = convention.metric === "square" ? Math.max(Math.abs(fy[y]), Math.abs(fx[x])) ** 2 : fy[y] ** 2 + fx[x] ** 2;
      bare[y * width + x] = gainAt(squared, radius, probe.family);
    }
  }
  const gain = new Float64Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const mirrored = ((height - y) % height) * width + ((width - x) % width);
      const low = (bare[y * width + x] + bare[mirrored]) / 2;
      gain[y * width + x] = probe.kind === "high_pass" ? 1 - low : low;
    }
  }
  if (convention.keep_mean) gain[0] = 1;
  return gain;
}

// ---- pictures

/** A crop as pixels, and its spectrum: red and green as one complex image, blue as another. */
function spectrumOf(pixels, height, width, mean, convention) {
  const zero = (channel) => (convention.domain === "normalised" ? mean[mean.length === 1 ? 0 : channel] : 0);
  const plane = (channel) => Float64Array.from({ length: height * width }, (_, k) => pixels[4 * k + channel] / 255 - zero(channel));
  const pair = { re: plane(0), im: plane(1) };
  const rest = { re: plane(2), im: new Float64Array(height * width) };
  return {
    height, width, pixels, zero: [0, 1, 2].map(zero), convention,
    pair: transform2(pair, height, width, false), rest: transform2(rest, height, width, false),
  };
}

/** RGBA pixels of a crop under a probe at a radius; Infinity is the crop itself. What a high-pass leaves is shown about mid grey. */
function filteredPixels(spectrum, probe, radius) {
  const { height, width, convention } = spectrum;
  if (!Number.isFinite(radius)) return spectrum.pixels;
  const gain = gainOf(height, width, radius, probe, convention);
  const kept = (half) => {
    const out = complex(height * width);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const k = y * width + x;
        out.re[k] = half.re[k] * gain[k];
        out.im[k] = half.im[k] * gain[k];
      }
    }
    return transform2(out, height, width, true);
  };
  const [pair, rest] = [kept(spectrum.pair), kept(spectrum.rest)];
  const floats = probe.kind === "high_pass" && !(convention.keep_mean || convention.clip);
  const planes = [pair.re, pair.im, rest.re];
  const out = new Uint8ClampedArray(4 * height * width);
  for (let k = 0; k < height * width; k++) {
    for (let c = 0; c < 3; c++) out[4 * k + c] = Math.round(255 * Math.min(1, Math.max(0, planes[c][k] + (floats ? 0.5 : spectrum.zero[c]))));
    out[4 * k + 3] = 255;
  }
  return out;
}

const spectra = new Map();

/** The spectrum of a crop, computed when it is first shown. */
function cropSpectrum(key, model) {
  const id = `${model}/${key}`; // models may normalise the same crop differently
  if (!spectra.has(id)) {
    spectra.set(id, new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => {
        const canvas = element("canvas", { width: image.naturalWidth, height: image.naturalHeight });
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        const { data: pixels } = context.getImageData(0, 0, canvas.width, canvas.height);
        resolve(spectrumOf(pixels, canvas.height, canvas.width, data.models[model].mean, data.models[model].convention));
      };
      image.onerror = () => reject(new Error("the picture cannot be decoded"));
      image.src = data.gallery.crops[key];
    }));
  }
  return spectra.get(id);
}

async function paint(canvas, key, model, probe, radius) {
  const wanted = `${model} ${key} ${probe.name} ${radius}`;
  canvas.dataset.wanted = wanted;
  const spectrum = await cropSpectrum(key, model);
  if (canvas.dataset.wanted !== wanted) return; // another picture has been asked for since
  canvas.width = spectrum.width;
  canvas.height = spectrum.height;
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(filteredPixels(spectrum, probe, radius)), spectrum.width, spectrum.height), 0, 0);
}
