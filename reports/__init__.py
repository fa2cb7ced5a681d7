"""Results as pages, Markdown, CSV, LaTeX and figures. Knows results and scored samples; no model, no data set."""
