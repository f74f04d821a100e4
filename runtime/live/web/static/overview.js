"use strict";

// All streams of a box side by side; a click on one shows it alone.
class Overview {
  constructor(root, names, choose) {
    this.root = root;
    this.names = names;
    this.choose = choose;
    this.screens = [];
  }

  open() {
    this.root.hidden = false;
    if (this.screens.length) return;
    this.root.replaceChildren();
    this.screens = this.names.map((name) => this.tile(name));
  }

  close() {
    this.root.hidden = true;
    for (const screen of this.screens) screen.close();
    this.screens = [];
  }

  tile(name) {
    const template = document.getElementById("tile").content.cloneNode(true);
    const part = (selector) => template.querySelector(selector);
    const [tile, state, reason] = [part(".tile"), part(".state"), part(".reason")];
    tile.dataset.stream = name;
    tile.title = `Show ${name} alone`;
    part(".name").textContent = name;
    tile.addEventListener("click", () => this.choose(name));
    const parts = { picture: part("canvas"), lost: part(".lost"), late: part(".late") };
    this.root.append(template);
    return new Screen(parts, name, {
      state(word, why) {
        state.textContent = word;
        state.className = `state ${word}`;
        reason.textContent = why;
      },
      status() {},
      watched() {},
    });
  }
}
