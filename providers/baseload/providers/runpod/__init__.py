"""RunPod serverless: REST v2 client, job plane, and the provider plugin `baseload-runpod`."""
