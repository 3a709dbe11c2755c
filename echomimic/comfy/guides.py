"""Pictures of what drives a job: placeholder"""
