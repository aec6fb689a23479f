// Which camera finds which: a table that follows the round.

if (data.cameras) {
  const { camids, counts } = data.cameras;
  const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "query \\ found"), ...camids.map((camid) => make("th", { scope: "col" }, `camera ${camid}`)), make("th", { scope: "col" }, "right")));
  const body = make("tbody");
  byId("camera-table").replaceChildren(head, body);
  whenRound.push((round) => {
    body.replaceChildren(
      ...camids.map((camid, row) => {
        const of = counts[round][row];
        const total = of.reduce((sum, [right, wrong]) => sum + right + wrong, 0);
        const rights = of.reduce((sum, [right]) => sum + right, 0);
        const cells = of.map(([right, wrong]) => {
          if (!(right + wrong)) return make("td", { class: "none" }, "\u2013");
          const shade = `background:rgba(var(--shade),${(0.3 * ((right + wrong) / total)).toFixed(3)})`;
          return make("td", { style: shade }, make("b", {}, `${right} \u2713`, make("span", { class: "sr" }, " right")), make("span", {}, `${wrong} \u2717`));
        });
        return make("tr", {}, make("th", { scope: "row" }, `camera ${camid}`), ...cells, make("td", {}, total ? percent(rights / total) : "\u2013"));
      }),
    );
  });
}
