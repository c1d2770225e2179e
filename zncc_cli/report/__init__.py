"""What people look at: report.json, HTML reports, figures and overlays."""
