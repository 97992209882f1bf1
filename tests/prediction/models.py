"""What the small models of these tests learn from, and what they answer."""

TINY = {"train_images": 12, "val_images": 4, "size": 32, "labeled": 8, "batch_size": 4}


# what checkpoints of version 0.1 hold under `data`
VERSION_0_1 = {
    "name": "photos",
    "classes": [{"name": "road", "color": [128, 64, 128]}, {"name": "car", "color": [0, 0, 142]}],
    "in_channels": 3,
    "pixels": "uint8",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "image_size": None,
    "crop_size": [64, 64],
    "split": "1/8 seed 0",
    "split_hash": "4e773e9c0bfd",
}
