// Asks for the worker's token. It is kept until the tab is closed.

import { onTokenNeeded, setToken } from "./api.js";
import { byId, show } from "./elements.js";

export function askForTokens(onGiven) {
  const dialog = byId("token-dialog");
  const input = byId("token");

  onTokenNeeded((wasWrong) => {
    if (wasWrong) {
      show("token-message", "Wrong token.");
      input.setAttribute("aria-invalid", "true");
    }
    if (!dialog.open) dialog.showModal();
    input.focus();
  });

  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setToken(input.value);
    input.value = "";
    show("token-message", "");
    input.removeAttribute("aria-invalid");
    dialog.close();
    onGiven();
  });
}
