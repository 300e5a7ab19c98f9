// The filter of the table of differences: rows that have every word stay. The words are kept in the address.
"use strict";

{
  const input = document.getElementById("differences-words");
  const count = document.getElementById("differences-count");
  const rows = [...document.querySelectorAll("#differences-table tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());

  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = `${shown} of ${rows.length} rows`;
    const address = new URL(location.href);
    if (words.length) address.searchParams.set("words", words.join(" "));
    else address.searchParams.delete("words");
    if (address.href !== location.href) history.replaceState(null, "", address);
  };

  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      input.value = "";
      show();
    }
  });
  input.value = new URL(location.href).searchParams.get("words") || "";
  document.getElementById("differences-filter").hidden = false;
  show();
}
