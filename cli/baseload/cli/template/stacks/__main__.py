from baseload.components import build_project

build_project()
