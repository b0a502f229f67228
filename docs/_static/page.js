// Wide pictures get a frame that scrolls on a phone (page.css); thumbnails and icons stay as they are.
document.addEventListener("DOMContentLoaded", () => {
  for (const image of document.querySelectorAll("article img")) {
    if (image.closest(".sphx-glr-thumbcontainer, .picture-scroll, .sd-card")) continue;
    const wrap = () => {
      if (image.naturalWidth < 760 || image.closest(".picture-scroll")) return;
      const frame = document.createElement("div");
      frame.className = "picture-scroll";
      image.replaceWith(frame);
      frame.append(image);
    };
    if (image.complete) wrap();
    else image.addEventListener("load", wrap, { once: true });
  }
});
