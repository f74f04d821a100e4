"use strict";

// A new engine beside the one that is shown: how it compares, and the button that changes the engines.
function showRollOut(now) {
  element("roll-out").hidden = now === null;
  if (now === null) return;
  const { shadow } = now;
  fillRows("shadow", [
    ["New engine", `${now.engine.backend} ${now.engine.precision}`],
    ["Is", { shadow: "compared, unseen", opening: "being opened", shown: "SHOWN" }[now.phase]],
    ["Frames compared", shadow.compared],
    ["Dice to the shown one", shadow.dice === null ? "–" : shadow.dice.toFixed(3)],
    ["Marked by one alone", shadow.one_sided],
    ["Inference, unseen", spread(shadow.infer_ms)],
    ["Taken back by itself", now.backs],
  ]);
  const button = element("change");
  button.textContent = now.phase === "shown" ? "Back to the old engine" : "Show the new engine";
  button.dataset.action = now.phase === "shown" ? "back" : "switch";
  button.disabled = now.phase === "opening";
}

async function changeEngine() {
  const words = element("refusal");
  try {
    const answer = await fetch("/api/roll-out", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ action: element("change").dataset.action }),
    });
    const said = await answer.json();
    words.textContent = answer.ok ? "" : [said.what ?? said.error, said.found].filter(Boolean).join(": ");
  } catch { /* the state says that there is no connection */ }
}

document.getElementById("change").addEventListener("click", changeEngine);
