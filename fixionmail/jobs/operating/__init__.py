"""What operators write to Redis: jobs requeued, canceled, deleted and repaired; workers told to stop; all at rest.

It works on RQ's layouts 2 and 3 and with any prefix. Payloads are neither read nor changed. What is left is what
``requeue``, ``cancel`` and ``delete`` of RQ's jobs leave, groups and rate limits included, but for this:

- A requeue takes jobs of every state, clears who ran the job and when, and keeps its record, which RQ lets expire as
  that of a failed job. Attempts that are used up stay used up, as with RQ.
- A job that is canceled or deleted leaves every registry and the intermediate list, whatever its status; a deleted one
  takes its results along, which RQ 2 leaves.
- Jobs that depend on one that is canceled or deleted are left as they are: RQ's options for them are not offered.
"""
