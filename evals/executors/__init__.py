"""Who asks the model: this process, worker processes, Ray actors, or one part of the work in each of several jobs.

An executor takes a plan's open work and gets it answered into the journal. Whatever the executor, one process writes
the run directory, and the same questions get the same requests; so results do not depend on it.

lease.py      a part of the work that one worker holds, and the queue that gives leases out and takes them back
recipe.py     what a worker is told, as JSON: tasks, places, adapter
worker.py     the working side: opens data and model, answers leases
messages.py   what workers say
pool.py       the asking side: a pool of workers whatever they are, and the loop that keeps them busy
processes.py, process_main.py   workers as processes of this machine
ray_pool.py, ray_actor.py       workers as Ray actors
shard.py      one part of the work for each of several jobs that know nothing of each other
base.py       executors as the runner sees them
"""
