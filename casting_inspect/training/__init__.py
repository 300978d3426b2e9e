"""The LightningModule, fine-tuning, feature-cached training, callbacks and run folders."""
