"""The LightningModule and what training needs around it."""
