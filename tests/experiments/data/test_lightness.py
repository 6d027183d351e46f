import subprocess
import sys

MODULES = "catalogue folders datasets decode cache digits randomness imbalance settings splits protocols batches"


def test_the_data_layer_imports_without_torch_or_drawing():
    imports = "; ".join(f"import experiments.data.{name}" for name in MODULES.split())
    heavy = (
        "sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'torchvision', 'matplotlib', 'sklearn', 'scipy'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {imports}; print({heavy})"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
