// Photos in the browser: reading, scaling and drawing them. None leaves the page from here.

// Sending more pixels costs time and changes no answer: models see a few hundred.
export const MAX_SIDE = 1600;
const SHOWN_SIDE = 1000; // kept for each photo of the session: 3 MB
const THUMBNAIL = 160;
const QUALITY = 0.9;

/**
 * Return `{upload, picture}`: what to send, and a canvas that shows it.
 *
 * Small photos are sent unchanged. `picture` is null if the browser cannot read the file; the
 * server may still be able to.
 */
export async function prepare(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return { upload: file, picture: null };
  }
  const isSmall = Math.max(bitmap.width, bitmap.height) <= MAX_SIDE;
  const upload = isSmall ? file : await toJpeg(draw(bitmap, MAX_SIDE));
  const picture = draw(bitmap, SHOWN_SIDE);
  bitmap.close();
  return { upload, picture };
}

/** Return a canvas with the picture, its longer side at most `maxSide` pixels. */
export function draw(picture, maxSide) {
  const width = picture.videoWidth || picture.width;
  const height = picture.videoHeight || picture.height;
  const scale = Math.min(1, maxSide / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // transparency becomes white, as on the server
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

export const thumbnail = (picture) => draw(picture, THUMBNAIL);

/** Return the picture as a JPEG file, without the place and time in a camera's metadata. */
export function toJpeg(canvas) {
  return new Promise((resolve, reject) => {
    const finish = (blob) => (blob ? resolve(blob) : reject(new Error("no JPEG")));
    canvas.toBlob(finish, "image/jpeg", QUALITY);
  });
}

/** Return a canvas with the picture of a `data:image/jpeg;base64,...` address. */
export async function fromDataAddress(address) {
  const [head, encoded] = String(address).split(",", 2);
  if (!/^data:image\/(jpeg|png);base64$/.test(head)) throw new Error("no picture");
  const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
  return draw(await createImageBitmap(new Blob([bytes])), MAX_SIDE);
}

/** Show `picture` on the canvas `place`. */
export function show(picture, place) {
  place.width = picture.width;
  place.height = picture.height;
  place.getContext("2d").drawImage(picture, 0, 0);
}

/** Draw the boxes of `{width, height, objects}` and their numbers, from 1, over the photo shown. */
export function drawBoxes(place, { width, height, objects }) {
  const pen = place.getContext("2d");
  const [across, down] = [place.width / width, place.height / height];
  const thick = Math.max(2, Math.round(Math.min(place.width, place.height) / 160));
  pen.font = `bold ${8 * thick}px sans-serif`;
  pen.textBaseline = "top";
  objects.forEach(({ box: [left, top, right, bottom] }, index) => {
    const [x, y] = [left * across, top * down];
    for (const [colour, line] of [["#fff", 2 * thick], ["#1469eb", thick]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = line;
      pen.strokeRect(x, y, (right - left) * across, (bottom - top) * down);
    }
    pen.fillStyle = "#1469eb";
    pen.fillRect(x, y, pen.measureText(index + 1).width + 4 * thick, 10 * thick);
    pen.fillStyle = "#fff";
    pen.fillText(index + 1, x + 2 * thick, y + thick);
  });
}

/** Return the pictures among the files of a drop or of the clipboard. */
export function picturesIn(transfer) {
  return [...(transfer?.files ?? [])];
}
