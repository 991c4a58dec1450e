"use strict";
// Clips wait as text until their row comes near the screen; a hundred decoded at once take seconds.
{
  const load = (video) => {
    const binary = atob(document.getElementById(video.dataset.clip).textContent);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  };
  const unload = (video) => {
    URL.revokeObjectURL(video.src);
    video.removeAttribute("src");
    video.load();
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !target.hasAttribute("src")) load(target);
      else if (!isIntersecting && target.hasAttribute("src") && target.paused) unload(target);
    }
  }, { rootMargin: "300px" });
  for (const video of document.querySelectorAll("video[data-clip]")) watcher.observe(video);
}
