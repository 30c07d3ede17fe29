"""Clients that were written for Flink's REST API, against ours.

    flink_tools.py BINARY DATA

flink-rest-client goes through a job as a program would that watches and stops it; flink-job-manager-api, which is made from Flink's own OpenAPI description,
reads answers into its types: what it finds no value for is missing in ours.
"""
import json, sys
from daemon import Daemon, wait
from flink_rest_client import FlinkRestClient
from flink_job_manager_api import Client
from flink_job_manager_api.types import Unset
import flink_job_manager_api.api.default as default
import importlib

binary, data = sys.argv[1], sys.argv[2]
daemon = Daemon(binary, data)
daemon.deploy("steady", """
name: steady
settings: {checkpoint: {interval: 1 s}}
tables:
  a: {columns: {x: BIGINT}, with: {connector: datagen, rows-per-second: 100}}
  b: {columns: {n: BIGINT, s: BIGINT}, with: {connector: blackhole}}
pipeline:
  - {name: s, sql: "SELECT x, COUNT(*) FROM a GROUP BY x", into: b}
""", "&parallelism=2")
host, port = daemon.url.removeprefix("http://").split(":")
client = FlinkRestClient.get(host=host, port=int(port))
jid = wait(lambda: client.jobs.job_ids())[0]
wait(lambda: client.jobs.get_checkpoint_ids(jid))
asked = 0


def check(what, condition, seen):
    global asked
    asked += 1
    assert condition, (what, seen)


overview = client.overview()
check("overview", overview["jobs-running"] == 1 and overview["taskmanagers"] == 1, overview)
check("config", "features" in client.config(), None)
check("datasets", client.datasets() == [], None)
check("jobs", client.jobs.all() == [{"id": jid, "status": "RUNNING"}], client.jobs.all())
check("overview of jobs", client.jobs.overview()[0]["jid"] == jid, client.jobs.overview())
names = client.jobs.metric_names()
check("names of metrics", "uptime" in names and "numberOfCompletedCheckpoints" in names, names)
all_metrics = client.jobs.metrics()
check("metrics of jobs", all_metrics["uptime"]["sum"] == all_metrics["uptime"]["max"] > 0, all_metrics)
check("aggregations", set(client.jobs.metrics(["uptime"], ["max"], [jid])["uptime"]) == {"max"}, None)
check("metrics of a job", float(client.jobs.get_metrics(jid)["uptime"]) > 0, None)
job = client.jobs.get(jid)
check("job", job["state"] == "RUNNING" and job["jid"] == jid, job)
check("config of a job", client.jobs.get_config(jid)["jid"] == jid, None)
check("exceptions", client.jobs.get_exceptions(jid)["exceptionHistory"]["entries"] == [], None)
check("plan", {n["id"] for n in client.jobs.get_plan(jid)["nodes"]} == set(client.jobs.get_vertex_ids(jid)), None)
check("accumulators", client.jobs.get_accumulators(jid, True)["job-accumulators"] == [], None)
check("result", client.jobs.get_execution_result(jid)["status"]["id"] == "IN_PROGRESS", None)
check("configuration of checkpoints", client.jobs.get_checkpointing_configuration(jid)["interval"] == 1000, client.jobs.get_checkpointing_configuration(jid))
ids = client.jobs.get_checkpoint_ids(jid)
check("a checkpoint", client.jobs.get_checkpoint_details(jid, ids[0], show_subtasks=True)["id"] == ids[0], None)
for vid in client.jobs.get_vertex_ids(jid):
    vertex = client.jobs.get_vertex(jid, vid)
    details = vertex.details()
    check("vertex", details["id"] == vid and len(details["subtasks"]) == details["parallelism"], details)
    check("back-pressure", vertex.backpressure()["status"] == "ok", None)
    check("metrics of a vertex", "0.numRecordsOut" in vertex.metrics(), vertex.metric_names())
    check("times", len(vertex.subtasktimes()["subtasks"]) == details["parallelism"], None)
    check("machines", vertex.taskmanagers()["taskmanagers"][0]["status-counts"]["RUNNING"] == details["parallelism"], vertex.taskmanagers())
    check("watermarks", len(vertex.watermarks()) == details["parallelism"], None)
    check("subtasks", vertex.subtasks.subtask_ids() == list(range(details["parallelism"])), None)
    metrics = vertex.subtasks.metrics(["numRecordsIn", "numRecordsOut"])
    check("metrics of subtasks", metrics["numRecordsOut"]["sum"] >= metrics["numRecordsOut"]["max"], metrics)
    check("one aggregation", set(vertex.subtasks.metrics(["numRecordsOut"], ["avg"], [0])["numRecordsOut"]) == {"avg"}, None)
    check("a subtask", vertex.subtasks.get(0)["subtask"] == 0 and vertex.subtasks.get_attempt(0)["status"] == "RUNNING", None)
    check("its attempt", vertex.subtasks.get_attempt(0, 0)["attempt"] == 0, None)
managers = client.taskmanagers.taskmanager_ids()
check("task managers", len(managers) == 1 and client.taskmanagers.get(managers[0])["id"] == managers[0], managers)
check("their metrics", client.taskmanagers.metrics()["process_open_fds"]["sum"] > 0 and client.taskmanagers.get_metrics(managers[0]) != {}, None)
check("their logs", client.taskmanagers.get_logs(managers[0]) == [], None)
check("job manager", client.jobmanager.config()["jobmanager.rpc.address"] == "localhost" and client.jobmanager.metrics()["numRunningJobs"] == "1", None)
check("its logs", client.jobmanager.logs() == [], None)

# Answers in the types of Flink's description. What is optional there and has no meaning here may be missing; all else must be there, in its type.
typed = Client(base_url=daemon.url + "/v1", raise_on_unexpected_status=True)
OPTIONAL = {"serialized-user-task-accumulators", "failure-cause", "stream_graph", "pending_operators", "slots_free_and_blocked", "taskmanagers_blocked", "operator_strategy", "operator",
            "memory_configuration", "metrics", "blocked", "optimizer_properties", "local_strategy", "caching", "task_manager_id", "failure_labels", "web_history", "web_submit",
            "status_duration", "other_concurrent_attempts", "job_execution_result", "restored", "savepoint", "failed", "aggregated", "start_time", "checkpoint_type"}


def missing(value, path=""):
    """Fields for which the client has found nothing."""
    found = []
    if hasattr(value, "__attrs_attrs__"):
        for attribute in value.__attrs_attrs__:
            if attribute.name == "additional_properties":
                continue
            inner = getattr(value, attribute.name)
            if isinstance(inner, Unset):
                if attribute.name not in OPTIONAL:
                    found.append(f"{path}.{attribute.name}")
            else:
                found += missing(inner, f"{path}.{attribute.name}")
    elif isinstance(value, list):
        for item in value[:2]:
            found += missing(item, path + "[]")
    return found


# Flink sends text where its description has an object of which nothing is told, and "exactly_once" where it has EXACTLY_ONCE.
importlib.import_module("flink_job_manager_api.models.slot_sharing_group_id").SlotSharingGroupId.from_dict = staticmethod(lambda text: text)
importlib.import_module("flink_job_manager_api.models.checkpoint_config_info").ProcessingMode = str
vid = client.jobs.get_vertex_ids(jid)[0]
calls = {
    "get_cluster_overview": {}, "get_dashboard_configuration": {}, "get_job_ids_with_statuses_overview": {}, "get_jobs_overview": {}, "get_job_details": {"jobid": jid},
    "get_job_plan": {"jobid": jid}, "get_job_status_info": {"jobid": jid}, "get_job_exceptions": {"jobid": jid}, "get_job_accumulators": {"jobid": jid},
    "get_job_execution_result": {"jobid": jid}, "get_checkpoint_config": {"jobid": jid},
    "get_job_vertex_details": {"jobid": jid, "vertexid": vid}, "get_job_vertex_back_pressure": {"jobid": jid, "vertexid": vid}, "get_job_vertex_task_managers": {"jobid": jid, "vertexid": vid},
    "get_job_vertex_accumulators": {"jobid": jid, "vertexid": vid}, "get_subtasks_times": {"jobid": jid, "vertexid": vid}, "get_subtasks_all_accumulators": {"jobid": jid, "vertexid": vid},
    "get_subtask_current_attempt_details": {"jobid": jid, "vertexid": vid, "subtaskindex": 0}, "get_task_managers": {}, "get_task_manager_details": {"taskmanagerid": managers[0]},
    "get_job_manager_log_list": {}, "get_cluster_data_set_list": {}, "get_jar_list": {},
}
lacks, unknown = {}, []
for name, arguments in calls.items():
    try:
        module = importlib.import_module(f"flink_job_manager_api.api.default.{name}")
    except ModuleNotFoundError:
        unknown.append(name)
        continue
    try:
        found = missing(module.sync(client=typed, **arguments))
    except Exception as error:
        found = [f"{type(error).__name__}: {error}"]
    asked += 1
    if found:
        lacks[name] = found
assert not unknown, unknown
assert not lacks, json.dumps(lacks, indent=1)

# What changes a job.
trigger = client.jobs.create_savepoint(jid, data + "/savepoints")
done = wait(lambda: (lambda s: s if s["status"]["id"] == "COMPLETED" else None)(trigger.status))
check("savepoint", done["operation"]["location"].startswith(data + "/savepoints"), done)
trigger = client.jobs.stop(jid, data + "/savepoints")
done = wait(lambda: (lambda s: s if s["status"]["id"] == "COMPLETED" else None)(trigger.status))
check("stop", "location" in done["operation"], done)
wait(lambda: daemon.topology("steady")["state"] == "STOPPED")
check("result of the end", wait(lambda: client.jobs.get_execution_result(jid)["status"]["id"] == "COMPLETED"), None)
assert daemon.request("POST", "/v1/topologies/steady/start").status == 200
jid = wait(lambda: [j["id"] for j in client.jobs.all() if j["status"] == "RUNNING"])[0]
check("terminate", client.jobs.terminate(jid) is True, None)
wait(lambda: daemon.topology("steady")["state"] == "CANCELED")
assert daemon.stop() == 0
print(json.dumps({"checks": asked}))
