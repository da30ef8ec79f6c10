"""Every attack in its short form: the bounds that hold on any machine. `make attacks` has the rest."""

import pytest
from catalogue import ATTACKS
from ground import Asking


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.title)
def test_attack(attack):
    figures = attack.run(Asking(), **attack.short)
    print(attack.tell(figures))
