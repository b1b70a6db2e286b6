"""Steps that hold steps: one branch or the other, several at once, the same for every item."""

from generative_ai_workflow.condition import Condition
from generative_ai_workflow.control_flow.conditional import ConditionalStep
from generative_ai_workflow.control_flow.for_each import ForEachStep
from generative_ai_workflow.control_flow.parallel import ParallelStep
from generative_ai_workflow.exceptions import ExpressionError

__all__ = ["Condition", "ConditionalStep", "ExpressionError", "ForEachStep", "ParallelStep"]
