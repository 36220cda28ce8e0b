"""``xmpress recipe``: the compression recipes that ship, and checking one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from xmpress.cli import help
from xmpress.cli.console import emit, emit_json, out, say
from xmpress.cli.extras import need
from xmpress.cli.options import Json, Sets

app = typer.Typer(
    help="List, show and check compression recipes.", no_args_is_help=True, rich_markup_mode="rich"
)
Recipe = Annotated[str, typer.Argument(help="A recipe file (.yaml), or the name of one.")]


def list_recipes(json: Json = False) -> None:
    """List the recipes that ship.

    Example:
      xmpress recipe list
    """
    from xmpress.compression.recipe import load_recipe, packaged_recipes

    # Unchecked: checking a pass's parameters imports torch, which takes seconds or is not there.
    recipes = {name: load_recipe(name, check=False) for name in packaged_recipes()}
    if json:
        emit_json(
            {
                name: {"description": r.description, "passes": [p.name for p in r.passes]}
                for name, r in recipes.items()
            }
        )
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("recipe", "passes", "description"):
        table.add_column(title)
    for name, recipe in recipes.items():
        passes = " → ".join(spec.name for spec in recipe.passes)
        table.add_row(name, passes, recipe.description)
    out.print(table)


def show(
    recipe: Recipe,
    sets: Sets = None,
    resolved: Annotated[
        bool,
        typer.Option("--resolved", help="With everything it extends filled in, without remarks."),
    ] = False,
) -> None:
    """Show a recipe as it is written, with its remarks; with --set, resolved.

    Examples:
      xmpress recipe show distill-int8 > mine.yaml
      xmpress recipe show minilm-l6 --resolved
    """
    from xmpress.compression.recipe import load_recipe, recipe_text

    found = load_recipe(recipe, sets or (), check=False)
    emit(found.to_yaml() if sets or resolved else recipe_text(recipe))


def validate(recipe: Recipe, sets: Sets = None) -> None:
    """Check a recipe; everything wrong with it is told at once.

    Example:
      xmpress recipe validate mine.yaml
    """
    need("train", "xmpress recipe validate")
    from xmpress.compression.recipe import load_recipe

    found = load_recipe(recipe, sets or ())
    found.build_passes()
    say(f"{recipe} is valid: {' → '.join(spec.name for spec in found.passes)}")


help.add(app, "list", list_recipes)
help.add(app, "show", show)
help.add(app, "validate", validate)
