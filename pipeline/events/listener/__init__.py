"""What SNS posts over HTTP: limits, proof, and an answer only after it is stored."""
