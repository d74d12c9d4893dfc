// Keys of the review. FiftyOne's plugin interface has none, so one listener runs the plugin's operators.
(() => {
  const RUN = "@streetvision/review/";
  const CHOICES = ["accept", "flip", "set_aside", "tag_failure_mode", "decide_because"];
  const MODES = ["night", "rain", "fog", "glare", "occlusion", "far", "small", "unusual"];

  const operation = (event) => {
    if (event.code === "KeyU" && !event.shiftKey) return ["undo", {}];
    const number = /^Digit[1-9]$/.test(event.code) ? Number(event.code.slice(5)) : 0;
    if (!event.shiftKey) return [CHOICES[number - 1], {}];
    const mode = MODES[number - 1];
    return [mode && "tag_mode", { mode }];
  };
  const writing = ({ tagName, type, isContentEditable }) =>
    isContentEditable || tagName === "TEXTAREA" || (tagName === "INPUT" && !/^(range|checkbox|radio|button)$/.test(type));
  // A decision nobody sees would be one nobody meant: without the panel the keys do nothing.
  const panelIsOpen = () => document.querySelector("[data-cy='panel-content-streetvision_review']");

  window.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || writing(event.target)) return;
      const [name, parameters] = operation(event);
      if (!name || !panelIsOpen()) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      // An operator that asks for input has to be prompted, or it would run with nothing.
      const asks = name === "tag_failure_mode" || name === "decide_because";
      if (asks) window.__foo__.executeOperator("@voxel51/operators/prompt_user_for_operation", { operator_uri: RUN + name });
      else window.__foo__.executeOperator(RUN + name, parameters);
    },
    true,
  );
})();
