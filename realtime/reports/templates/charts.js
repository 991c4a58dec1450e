"use strict";
// Draws charts, and puts a picture of each on paper: paper has another width than the screen, and
// charts do not follow in time.
const drawCharts = async ({ docs, items }) => {
  const [views] = await Bokeh.embed.embed_items(docs, items);
  window.addEventListener("beforeprint", () => {
    for (const [id, place] of Object.entries(items[0].roots)) {
      const drawn = views.get_by_id(id).export("png", true).canvas;
      const picture = document.createElement("canvas");
      picture.className = "printed";
      picture.width = drawn.width;
      picture.height = drawn.height;
      picture.getContext("2d").drawImage(drawn, 0, 0);
      document.getElementById(place).after(picture);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const picture of document.querySelectorAll("canvas.printed")) picture.remove();
  });
  document.documentElement.dataset.charts = "drawn";
  return views;
};
const chartData = JSON.parse(document.getElementById("charts").textContent);
const chartViews = drawCharts(chartData);
