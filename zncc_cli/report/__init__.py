"""What people look at: report.json, HTML pages, figures and overlays."""
