import pytest

from ssseg.training.callbacks.final_validation import EvaluateLast
from tests.conftest import make_data, make_module, make_trainer


def test_student_and_teacher_are_validated_and_the_last_step_always_is(tmp_path):
    module = make_module()
    trainer = make_trainer(5, tmp_path, val_check_interval=2, callbacks=[EvaluateLast()])
    steps = []
    module.on_validation_epoch_end = lambda: (
        steps.append(trainer.global_step),
        type(module).on_validation_epoch_end(module),
    )
    trainer.fit(module, make_data())
    assert steps == [2, 4, 5]
    assert set(module.scores) == {"student", "teacher"}
    metrics = trainer.callback_metrics
    assert metrics["val/miou"] == metrics["val/miou_teacher"]
    assert float(metrics["val/miou_student"]) == pytest.approx(module.scores["student"].miou)
