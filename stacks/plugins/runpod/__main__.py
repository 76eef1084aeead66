from baseload.providers.runpod.plugin import main

main()
