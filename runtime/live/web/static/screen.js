"use strict";

const LOST_MS = 1000;
const LATE_MS = 500;
const LATE_STAYS_MS = 2000;
const HEADER_BYTES = 16;

const queryOf = (stream) => (stream ? `?stream=${encodeURIComponent(stream)}` : "");

// One stream's picture on a canvas, with its own connection. A picture that does not come, or comes late, is covered.
class Screen {
  // parts: the elements picture, lost and late. told: status(now), state(state, reason) and watched(isSilent).
  constructor(parts, stream, told) {
    this.parts = parts;
    this.stream = stream;
    this.told = told;
    this.drawing = parts.picture.getContext("2d", { alpha: false });
    this.shownMs = null; // when the drawn picture was shown, but for its way to here
    this.drawnMs = null; // when "drawn" was last said on this connection
    this.wayMs = null; // the most that the drawn picture took from being shown to here
    this.lastLateMs = -Infinity;
    this.retryMs = 500;
    this.isOpen = true;
    this.timer = setInterval(() => this.watch(), 200);
    this.connect();
    this.watch();
  }

  close() {
    this.isOpen = false;
    clearInterval(this.timer);
    this.socket.close();
  }

  connect() {
    if (!this.isOpen) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/live${queryOf(this.stream)}`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.retryMs = 500; this.drawnMs = null; };
    socket.onmessage = async (event) => {
      if (!this.isOpen) return;
      if (typeof event.data === "string") {
        const now = JSON.parse(event.data);
        this.told.state(now.state, now.reason);
        this.told.status(now);
        return;
      }
      try {
        await this.show(event.data);
      } finally { // a picture that cannot be drawn is followed by the next one, too
        this.drawnMs = performance.now();
        if (socket.readyState === WebSocket.OPEN) socket.send("drawn");
      }
    };
    socket.onclose = (event) => {
      if (!this.isOpen) return;
      this.told.state("unreachable", event.reason);
      setTimeout(() => this.connect(), this.retryMs);
      this.retryMs = Math.min(2 * this.retryMs, 8000);
    };
  }

  // Before the JPEG: frame index, frame width, how long ago it was shown and this page heard (see newest_picture.py).
  async show(data) {
    const { picture } = this.parts;
    const header = new DataView(data);
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, HEADER_BYTES)], { type: "image/jpeg" }));
    if (this.isOpen) {
      this.noteTimes(header.getFloat32(8), header.getFloat32(12));
      if (picture.width !== bitmap.width || picture.height !== bitmap.height) {
        picture.width = bitmap.width;
        picture.height = bitmap.height;
      }
      this.drawing.drawImage(bitmap, 0, 0);
      picture.dataset.frame = header.getUint32(0);
    }
    bitmap.close();
  }

  // The two clocks are never compared: there and back, less what the server waited, is more than the way here.
  noteTimes(heldMs, quietMs) {
    const nowMs = performance.now();
    this.shownMs = nowMs - heldMs;
    this.wayMs = this.drawnMs === null ? null : heldMs + Math.max(0, nowMs - this.drawnMs - quietMs);
    if (this.wayMs > LATE_MS) this.lastLateMs = nowMs;
    this.watch(); // before it is drawn: one that was shown long ago is covered from the beginning
  }

  // A picture that does not come, or comes late, is never shown as if it were now.
  watch() {
    const { lost, late } = this.parts;
    const nowMs = performance.now();
    const silentMs = nowMs - (this.shownMs ?? -Infinity);
    lost.hidden = silentMs < LOST_MS;
    if (!lost.hidden) {
      lost.textContent = this.shownMs === null ? "waiting for a picture"
        : `NO PICTURE for ${(silentMs / 1000).toFixed(0)} s`;
    }
    late.hidden = !lost.hidden || nowMs - this.lastLateMs > LATE_STAYS_MS;
    if (!late.hidden && this.wayMs > LATE_MS) late.textContent = `LATE: up to ${(this.wayMs / 1000).toFixed(1)} s behind`;
    this.told.watched(this.shownMs !== null && !lost.hidden);
  }
}
