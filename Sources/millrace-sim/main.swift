print("millrace-sim")
